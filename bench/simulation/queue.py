"""SQS as the simulation has it: the queue in memory that `mr` has, in simulated time."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from bench.simulation.inputs import Cloud
from bench.simulation.requests import CoordinatorTime
from bench.simulation.world import World
from mr.taskqueue import MemoryQueue, Message, TaskQueue

#: Messages that a request holds.
BATCH = 10
#: What a worker's lease is while it lives: its heartbeats are counted, and not played one by one.
FOR_EVER_S = 1e12


class SimulatedQueue(TaskQueue):
    """A queue of SQS as the coordinator has it; workers use `take` and the methods below it.

    `heard` is called when a message is there. What is counted is what SQS would be asked.
    """

    def __init__(
        self,
        world: World,
        time: CoordinatorTime,
        counts: Counter[str],
        cloud: Cloud,
        random: Random,
    ) -> None:
        self._world = world
        self._time = time
        self._counts = counts
        self._cloud = cloud
        self._random = random
        self._queue = MemoryQueue(world.clock)
        self.heard: Callable[[], None] = lambda: None
        self.lent = 0
        #: The most messages that were in it, and lent, at a time.
        self.most_held = self.most_lent = 0

    def _asked(self, operation: str) -> None:
        self._counts[f"sqs.{operation}"] += 1
        self._time.spend_queue()

    # The coordinator's side

    def send(self, bodies: Sequence[bytes]) -> None:
        """Add messages, ten with each request; some come twice."""
        for start in range(0, len(bodies), BATCH):
            batch = list(bodies[start : start + BATCH])
            self._asked("SendMessageBatch")
            if self._cloud.duplicates:
                batch += [one for one in batch if self._random.random() < self._cloud.duplicates]
            self._queue.send(batch)
            self.most_held = max(self.most_held, self._queue.waiting() + self.lent)
            self.heard()

    def receive(self, *, most: int = 1, wait_s: float = 0.0, lease_s: float) -> list[Message]:
        """Take messages; simulated time passes until there are some."""
        self._asked("ReceiveMessage")
        self._world.wait(wait_s, lambda: self._queue.waiting() > 0)
        return self._queue.receive(most=min(most, BATCH), lease_s=lease_s)

    def extend(self, message: Message, lease_s: float) -> None:
        """Extend a lease."""
        self._asked("ChangeMessageVisibility")
        self._queue.extend(message, lease_s)

    def release(self, message: Message, delay_s: float = 0.0) -> None:
        """Give a message back."""
        self._asked("ChangeMessageVisibility")
        self._queue.release(message, delay_s)

    def acknowledge(self, message: Message) -> None:
        """Remove a message."""
        self._asked("DeleteMessage")
        self._queue.acknowledge(message)

    def dead_letter(self, message: Message, reason: str) -> None:
        """Not asked: no task fails here."""
        raise NotImplementedError

    def waiting(self) -> int:
        """Return how many messages nobody holds."""
        self._asked("GetQueueAttributes")
        return self._queue.waiting()

    # The workers' side, whose time is that of their attempts

    def take(self) -> Message | None:
        """Take a message, if there is one and SQS lends so many, for as long as the taker lives."""
        if self.lent >= self._cloud.most_lent:
            return None
        messages = self._queue.receive(lease_s=FOR_EVER_S)
        if not messages:
            return None
        self.lent += 1
        self.most_lent = max(self.most_lent, self.lent)
        return messages[0]

    def tell(self, body: bytes) -> None:
        """Add a message."""
        self._queue.send([body])

    def remove(self, message: Message) -> None:
        """Remove a message that was taken."""
        self.lent -= 1
        self._queue.acknowledge(message)

    def give_back(self, message: Message) -> None:
        """Give back a message that was taken."""
        self.lent -= 1
        self._queue.release(message)
        self.heard()

    def let_lapse(self, message: Message, lease_s: float) -> None:
        """Let a message that was taken come back once its last lease has run out."""
        self._queue.extend(message, lease_s)

        def lapsed() -> None:
            self.lent -= 1
            self.heard()

        self._world.after(lease_s, lapsed)
