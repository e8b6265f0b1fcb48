"""How long requests take, and how many S3 answers in a second."""

from bench.simulation.inputs import Cloud, Scheduling
from bench.simulation.world import World
from mr.commits import READERS

#: Requests that `mr` asks at a time, wherever it asks several.
AT_A_TIME = READERS


class Throttle:
    """So many requests a second and no more: who comes later waits."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = 0.0

    def wait_s(self, now: float, requests: float) -> float:
        """Seconds until so many requests that are asked now have been answered."""
        self._free = max(now, self._free) + requests / self._rate
        return self._free - now


class CoordinatorTime:
    """How long the coordinator's requests take: `spend` is a store's `ask`."""

    def __init__(self, world: World, cloud: Cloud, scheduling: Scheduling) -> None:
        self._world = world
        self._cloud = cloud
        self._scheduling = scheduling

    def spend(self, operation: str, size: int) -> None:
        """Spend the time of a request to S3.

        Several are asked at a time by threads: then each takes its share of a round trip, but the
        whole of its processor time, of which Python has one at a time.
        """
        cloud, cpu_s = self._cloud, self._scheduling.request_cpu_s
        if operation == "ListObjectsV2":
            seconds, cpu_s = cloud.list_s, self._scheduling.list_cpu_s
        elif operation == "PutObject":
            seconds = cloud.write_s + size / self._scheduling.plan_bytes_s
        else:
            seconds = cloud.read_s
            cpu_s += size / self._scheduling.decode_bytes_s
        if not self._world.is_own_thread():
            seconds /= AT_A_TIME
        self._world.spend(max(seconds, cpu_s))

    def spend_listing(self, requests: int) -> None:
        """Spend the time of listing blocks, several requests at a time."""
        each_s = max(self._cloud.list_s / AT_A_TIME, self._scheduling.list_cpu_s)
        self._world.spend(requests * each_s)

    def spend_queue(self) -> None:
        """Spend the time of a request to SQS."""
        self._world.spend(max(self._cloud.queue_s, self._scheduling.request_cpu_s))
