"""The queue in SQS: the contract on two servers, and by stubs what only AWS itself answers."""

import json
import subprocess
import sys
import threading
import time
import uuid
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError
from botocore.stub import ANY, Stubber
from clusters import read_dead
from contracts import QueueContract, run_threads, take_all
from hypothesis import example, given
from hypothesis import strategies as st

from mr.aws import clients, sqs
from mr.aws.sqs import SqsQueue
from mr.errors import FormatError, LeaseLost, QueueUnavailable, UsageError
from mr.metering import METER
from mr.queues import open_queue
from mr.taskqueue import Message, TaskQueue

#: How much faster than in the contract time passes here.
SPEED = 5


class Fast(TaskQueue):
    """A queue whose leases and delays pass faster; whole seconds must stay whole."""

    def __init__(self, queue):
        self.queue = queue

    def send(self, bodies):
        self.queue.send(bodies)

    def receive(self, *, most=1, wait_s=0.0, lease_s):
        return self.queue.receive(most=most, wait_s=wait_s, lease_s=lease_s / SPEED)

    def extend(self, message, lease_s):
        self.queue.extend(message, lease_s / SPEED)

    def release(self, message, delay_s=0.0):
        self.queue.release(message, delay_s / SPEED)

    def acknowledge(self, message):
        self.queue.acknowledge(message)

    def dead_letter(self, message, reason):
        self.queue.dead_letter(message, reason)

    def waiting(self):
        return self.queue.waiting()


def use(server, monkeypatch):
    """Let this process speak to a server."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["ministack", "fauxqs"])
def server(request, monkeypatch):
    """Return each of the servers, which this process speaks to."""
    server = request.getfixturevalue(request.param)
    use(server, monkeypatch)
    return server


@pytest.fixture
def name():
    """Return a name that no queue has."""
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def opened(server, name):
    """Return a new queue."""
    return open_queue(name)


@pytest.fixture
def raw(server):
    """Return a client as strangers have it."""
    return clients.client("sqs")


@pytest.fixture
def no_pause(monkeypatch):
    """Let nobody wait between tries."""
    monkeypatch.setattr(sqs, "PAUSE_S", 0)


def attributes(client, url):
    """Return the attributes of a queue."""
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


class TestContract(QueueContract):
    """A queue of SQS, on each server."""

    @pytest.fixture
    def queue(self, opened):
        """Return an empty queue."""
        return Fast(opened)

    @pytest.fixture
    def advance(self):
        """Return how time passes for the queue."""
        return lambda seconds: time.sleep(seconds / SPEED)

    def test_extend(self, queue, advance):
        """An extended lease runs from the moment of its extension (with a second to spare)."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=15)
        advance(10)
        queue.extend(message, 15)
        advance(10)
        assert queue.receive(lease_s=15) == []

        queue.extend(message, 15)
        advance(16)

        assert [m.body for m in queue.receive(lease_s=15)] == [b"one"]

    def test_extend_can_shorten(self, queue, advance):
        """An extension may also let the lease end sooner: after one whole second."""
        queue.send([b"one"])
        [message] = queue.receive(lease_s=1000)

        queue.extend(message, SPEED)
        advance(1.5 * SPEED)

        assert [m.receives for m in queue.receive(lease_s=10)] == [2]


# Opening


def test_a_new_queue(raw, name):
    """A queue is made with its dead-letter queue, which is a backstop only."""
    queue = open_queue(name)

    assert queue.name == name
    made = attributes(raw, queue.url)
    assert made["MessageRetentionPeriod"] == "1209600"
    assert made["VisibilityTimeout"] == "300"
    policy = json.loads(made["RedrivePolicy"])
    assert policy["deadLetterTargetArn"].endswith(f":{name}-dead")
    assert int(policy["maxReceiveCount"]) == 1000
    assert queue.dead.name == f"{name}-dead"
    assert attributes(raw, queue.dead.url)["MessageRetentionPeriod"] == "1209600"
    assert queue.dead.dead is None


def test_a_new_queue_without_dead_letters(raw, name):
    """A queue may be made without a dead-letter queue: dead letters are gone."""
    queue = open_queue(name, dead_letters=False)
    queue.send([b"one"])
    [message] = queue.receive(lease_s=60)

    queue.dead_letter(message, "why")

    assert queue.dead is None
    assert "RedrivePolicy" not in attributes(raw, queue.url)
    assert attributes(raw, queue.url)["ApproximateNumberOfMessagesNotVisible"] == "0"
    assert queue.waiting() == queue.dead_letters_waiting() == 0
    assert read_dead(queue) == []
    with pytest.raises(UsageError, match="there is no queue"):
        open_queue(f"{name}-dead", make=False)


def test_an_existing_queue(raw, name):
    """A queue that is there is used as it is, by its name and by its URL."""
    url = raw.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "77"})["QueueUrl"]
    before = attributes(raw, url)

    for name_or_url in (name, url):
        METER.take()
        queue = open_queue(name_or_url)
        assert (queue.name, queue.url) == (name, url)
        assert METER.take() == {"sqs.GetQueueUrl": 1}
        queue.send([b"one"])
        assert [m.body for m in take_all(queue)] == [b"one"]
        assert queue.dead is None

    after = attributes(raw, url)
    assert {k: after[k] for k in before if not k.startswith("Approximate")} == {
        k: before[k] for k in before if not k.startswith("Approximate")
    }


def test_by_an_address_with_another_host(opened, server):
    """A queue's URL is good whatever host it names, for all goes to the client's endpoint."""
    path = opened.url.partition("//")[2].partition("/")[2]
    opened.send([b"one"])

    for host in (server.url, "https://sqs.us-east-1.amazonaws.com"):
        [message] = open_queue(f"{host}/{path}").receive(lease_s=1, wait_s=5)
        assert message.body == b"one"


@pytest.mark.parametrize("as_url", [False, True])
def test_a_missing_queue(opened, name, as_url):
    """A queue that is missing and not to be made is a clear error; one named by a URL always."""
    missing = opened.url + "x" if as_url else name + "x"

    with pytest.raises(UsageError, match=r"there is no queue .*x in us-east-1"):
        open_queue(missing, make=as_url)
    with pytest.raises(UsageError, match="there is no queue"):
        open_queue(name + "x", make=False)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "a b",
        "a.fifo",
        "a" * 81,
        "ä",
        "arn:aws:sqs:us-east-1:1:q",
        "http://h/1/",
        "ftp://h/1/q",
        "http://[/q",
        "/q",
        "https://user:secret@h/000000000000/q",
        "https://h/q?Signature=secret",
    ],
)
def test_no_names(given, stubbed):
    """What cannot name a queue is refused before anybody is asked, and secrets not repeated."""
    with pytest.raises(UsageError, match="name") as failure:
        SqsQueue.open(given, client=stubbed.client)

    assert "secret" not in str(failure.value)


def test_name_without_room(stubbed):
    """A name must leave room for that of the dead-letter queue, if there is to be one."""
    stubbed.add_client_error("get_queue_url", "AWS.SimpleQueueService.NonExistentQueue")
    with pytest.raises(UsageError, match="75"):
        SqsQueue.open("a" * 76, client=stubbed.client)


@pytest.mark.parametrize(
    "host",
    [
        "sqs.eu-west-1.amazonaws.com",
        "eu-west-1.queue.amazonaws.com",
        "sqs-fips.eu-west-1.amazonaws.com",
        "vpce-1.sqs.eu-west-1.vpce.amazonaws.com",
    ],
)
def test_another_region(stubbed, host):
    """A queue's URL is not taken for a queue of that name in this region."""
    with pytest.raises(UsageError, match="is in eu-west-1, but AWS_DEFAULT_REGION is us-east-1"):
        SqsQueue.open(f"https://{host}/123456789012/q", client=stubbed.client)


OPEN_AND_SEND = """
import sys
from mr.aws import clients
from mr.queues import open_queue
clients.client("sqs")
print("ready", flush=True)
sys.stdin.readline()
queue = open_queue(sys.argv[1])
queue.send([b"one"])
print(queue.url, queue.dead.name)
"""


def test_processes_that_open_at_once(server, name):
    """Processes that make a queue at the same time all get the same one."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_SEND, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()

    answers = {process.communicate(timeout=60)[0] for process in processes}

    queue = open_queue(name, make=False)
    assert answers == {f"{queue.url} {name}-dead\n"}
    assert queue.waiting() == 4


def test_threads_that_open_at_once(server, name):
    """Threads do too."""
    queues = []
    run_threads(
        [threading.Thread(target=lambda: queues.append(open_queue(name))) for _ in range(8)]
    )

    assert len(queues) == 8
    assert len({queue.url for queue in queues}) == 1


def test_remove(opened, name):
    """A removed queue is gone, which is no error the next time, and clear to who uses it."""
    opened.send([b"one", b"two"])
    message, other = take_all(opened)
    opened.remove()
    opened.remove()

    with pytest.raises(UsageError, match="there is no queue"):
        open_queue(name, make=False)
    for use_it in (
        lambda: opened.send([b"one"]),
        lambda: opened.receive(lease_s=60),
        lambda: opened.extend(message, 60),
        lambda: opened.acknowledge(message),
        lambda: opened.release(other),
        lambda: opened.waiting(),
    ):
        with pytest.raises(QueueUnavailable, match=f"queue {name}: there is no such queue"):
            use_it()


# Bodies


ODD = [
    b"",
    b" ",
    b"\x00",
    b"\r\n",
    b"tab\t",
    bytes(range(256)),
    "é€ \ufffe \U0001f600".encode(),
    b"base64:",
    b"base64:aGk=",
    b"<&>\"'\\u0041",
    b"x" * 100_000,
    b"\xff" * 100_000,
]


def test_odd_bodies(opened):
    """Any bytes arrive as they were sent."""
    opened.send(ODD)

    assert sorted(m.body for m in take_all(opened)) == sorted(ODD)


@given(st.binary() | st.text().map(str.encode))
@example(b"base64:")
@example(b"base64:aGk=")
@example(b"\n")
@example("ä".encode())
def test_bodies_as_text(body):
    """Whatever travels is ASCII, in our own plain form too, and becomes the same bytes again."""
    for text in (sqs._encode(body), sqs._encode(body, sqs._TAKEN)):
        assert sqs._decode(text) == body
        assert sqs._TAKEN.fullmatch(text)
    assert sqs._PRINTABLE.fullmatch(sqs._encode(body))


def test_our_bodies_are_readable(opened, raw):
    """JSON travels as it is."""
    opened.send([b'{"job": "x", "number": 1}'])

    [message] = raw.receive_message(QueueUrl=opened.url)["Messages"]
    assert message["Body"] == '{"job": "x", "number": 1}'


STRANGE = ["hello", "é €\n", "base64:!!", "base64:aGk", "base64:aGl=", "\t", "base64:aGk= "]


def test_bodies_of_strangers(opened, raw):
    """What somebody else puts into the queue arrives as its UTF-8, and can be put aside."""
    for text in STRANGE:
        raw.send_message(QueueUrl=opened.url, MessageBody=text)

    messages = take_all(opened)

    assert sorted(m.body for m in messages) == sorted(text.encode() for text in STRANGE)
    for message in messages:
        opened.dead_letter(message, "a stranger's")
    assert opened.dead_letters_waiting() == len(STRANGE)
    assert sorted(body for body, _ in read_dead(opened)) == sorted(t.encode() for t in STRANGE)


def test_a_strangers_largest_message(opened, raw):
    """The largest message that SQS takes can be put aside, if without its reason."""
    text = "ü" * (sqs.MESSAGE_BYTES // 2)
    raw.send_message(QueueUrl=opened.url, MessageBody=text)
    [message] = opened.receive(lease_s=60)

    opened.dead_letter(message, "why")

    assert read_dead(opened) == [(text.encode(), "")]


# Requests


def test_requests(opened):
    """Each of these is one request, and ten messages are one."""
    METER.take()
    opened.send([b"%d" % number for number in range(25)])
    assert METER.take() == {"sqs.SendMessageBatch": 3}
    assert opened.waiting() == 25
    assert METER.take() == {"sqs.GetQueueAttributes": 1}
    messages = opened.receive(most=100, wait_s=20, lease_s=60)
    assert 1 <= len(messages) <= 10
    assert METER.take() == {"sqs.ReceiveMessage": 1}
    opened.extend(messages[0], 60)
    assert METER.take() == {"sqs.ChangeMessageVisibility": 1}
    opened.acknowledge(messages[0])
    assert METER.take() == {"sqs.DeleteMessage": 1}
    opened.release(messages[1])
    assert METER.take() == {"sqs.ChangeMessageVisibility": 1}
    for stale in (messages[0], messages[1], Message(b"", "never received", 1)):
        opened.acknowledge(stale)
        opened.release(stale)
        opened.dead_letter(stale, "why")
    assert METER.take() == {}


def test_large_batches(opened):
    """No request is larger than any queue takes, in base64 too."""
    METER.take()
    opened.send([b"x" * 100_000] * 5 + [b"\xff" * 150_000] * 2)

    assert METER.take() == {"sqs.SendMessageBatch": 5}
    assert opened.waiting() == 7


def test_too_large(opened):
    """One message that is too large is refused in a sentence of ours, and none is sent."""
    with pytest.raises(FormatError, match=f"cannot send to queue {opened.name}: .*262144"):
        opened.send([b"one", b"x" * (256 * 1024 + 1)])

    assert opened.waiting() == 0


@pytest.mark.parametrize(("most", "lease_s"), [(0, 10), (1, 0), (1, -1)])
def test_senseless_receives(stubbed, most, lease_s):
    """To take no messages, or for no time, is a mistake of the caller's."""
    with pytest.raises(ValueError, match="positive"):
        SqsQueue("q", stubbed.client).receive(most=most, lease_s=lease_s)


def test_short_waits_are_no_busy_loop(opened):
    """A short wait is one request of a second."""
    METER.take()
    begun = time.monotonic()

    assert opened.receive(wait_s=0.25, lease_s=60) == []

    assert 0.9 < time.monotonic() - begun < 5
    assert METER.take() == {"sqs.ReceiveMessage": 1}


# Dead letters


def test_dead_letters_and_reasons(opened):
    """A dead letter is kept with its reason, what SQS refuses in it replaced."""
    opened.send([b"one", b"\xfftwo"])
    for message in take_all(opened):
        opened.dead_letter(message, f"not \x00 a \U0001f600 message\n{message.receives} é")

    assert opened.waiting() == 0
    assert opened.dead_letters_waiting() == 2
    assert sorted(read_dead(opened)) == [
        (b"one", "not � a � message\n1 é"),
        (b"\xfftwo", "not � a � message\n1 é"),
    ]
    time.sleep(1.2)  # they were only read, and are there again
    assert len(read_dead(opened, 1)) == 1


@pytest.mark.parametrize("reason", ["", "é" * 10_000])
def test_long_and_empty_reasons(opened, reason):
    """A long reason is cut to 1 KB, an empty one left out."""
    opened.send([b"one"])
    [message] = opened.receive(lease_s=60)

    opened.dead_letter(message, reason)

    assert read_dead(opened) == [(b"one", reason[:512])]


# What AWS answers, and the servers here do not


URL = "https://sqs.us-east-1.amazonaws.com/123456789012/q"
EXPIRED = (
    "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not "
    "available for visibility timeout change."
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        """Return the time in seconds."""
        return self.now_s


def aws_client():
    """Return a client for AWS itself."""
    return boto3.client(
        "sqs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@pytest.fixture
def stubbed():
    """Return a stub whose client asks nobody, and which must be asked all that it expects."""
    with Stubber(aws_client()) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def clock():
    """Return a clock that only the test moves."""
    return Clock()


@pytest.fixture
def aws(stubbed, clock):
    """Return a queue of a stubbed AWS."""
    return SqsQueue(URL, stubbed.client, clock)


def lend(stubbed, queue, lease_s=10, receipts=("r",)):
    """Receive messages with these receipts."""
    stubbed.add_response(
        "receive_message",
        {"Messages": [{"Body": "one", "ReceiptHandle": receipt} for receipt in receipts]},
        {
            "QueueUrl": URL,
            "MaxNumberOfMessages": len(receipts),
            "WaitTimeSeconds": 0,
            "VisibilityTimeout": ANY,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
        },
    )
    return queue.receive(most=len(receipts), lease_s=lease_s)


def expect_visibility(stubbed, seconds):
    """Expect that the lease of "r" is changed."""
    wanted = {"QueueUrl": URL, "ReceiptHandle": "r", "VisibilityTimeout": seconds}
    stubbed.add_response("change_message_visibility", {}, wanted)


STALE = pytest.mark.parametrize(
    "code",
    [
        "InvalidParameterValue",
        "ReceiptHandleIsInvalid",
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
    ],
)


@STALE
def test_aws_says_that_a_lease_is_lost(stubbed, aws, code):
    """AWS's answer to an expired receipt is a lost lease."""
    [message] = lend(stubbed, aws)
    stubbed.add_client_error("change_message_visibility", code, EXPIRED, 400)

    with pytest.raises(LeaseLost):
        aws.extend(message, 10)


@STALE
def test_aws_says_that_a_receipt_is_stale(stubbed, aws, code):
    """To give back or acknowledge what is lost does nothing, whatever AWS answers."""
    first, second = lend(stubbed, aws, receipts=("r", "s"))
    stubbed.add_client_error("change_message_visibility", code, EXPIRED, 400)
    stubbed.add_client_error("delete_message", code, EXPIRED, 400)

    aws.release(first)
    aws.acknowledge(second)


def test_a_lease_counts_from_before_the_request(stubbed, aws, clock):
    """A lease may have begun, and ends, as early as the request for it."""
    events = stubbed.client.meta.events

    def slow(**_):
        clock.now_s += 4

    events.register("before-call.sqs.ReceiveMessage", slow)
    [message] = lend(stubbed, aws)
    clock.now_s += 5.9
    expect_visibility(stubbed, 10)
    aws.extend(message, 10)

    clock.now_s += 10
    with pytest.raises(LeaseLost):
        aws.extend(message, 10)


def test_parts_of_seconds(stubbed, aws, clock):
    """Whole seconds are asked for, and the lease given up at its exact end."""
    stubbed.add_response(
        "receive_message",
        {"Messages": [{"Body": "one", "ReceiptHandle": "r"}]},
        {
            "QueueUrl": URL,
            "MaxNumberOfMessages": 1,
            "WaitTimeSeconds": 0,
            "VisibilityTimeout": 3,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
        },
    )
    [message] = aws.receive(lease_s=2.5)
    expect_visibility(stubbed, 2)
    aws.extend(message, 1.5)
    clock.now_s += 1.5

    aws.acknowledge(message)
    with pytest.raises(LeaseLost):
        aws.extend(message, 10)


def test_an_extension_without_an_answer(stubbed, aws, clock):
    """If nobody knows whether the lease was shortened, it is taken as shortened."""
    [message] = lend(stubbed, aws, lease_s=100)
    stubbed.add_client_error("change_message_visibility", "InternalError", "", 500)
    with pytest.raises(QueueUnavailable):
        aws.extend(message, 10)
    clock.now_s += 9
    stubbed.add_client_error("change_message_visibility", "InternalError", "", 500)
    with pytest.raises(QueueUnavailable):
        aws.extend(message, 100)

    clock.now_s += 1
    with pytest.raises(LeaseLost):
        aws.extend(message, 10)


def test_twelve_hours_are_the_most(stubbed, aws, clock):
    """A message is lent for 12 hours in all, from when it was received."""
    [message] = lend(stubbed, aws, lease_s=1e9)
    clock.now_s += 12 * 3600 - 60.5
    expect_visibility(stubbed, 60)
    aws.extend(message, 300)
    clock.now_s += 60

    with pytest.raises(LeaseLost):
        aws.extend(message, 300)


def test_a_long_delay(stubbed, aws, clock):
    """A delay can be as long as a lease."""
    [message] = lend(stubbed, aws)
    clock.now_s += 1
    expect_visibility(stubbed, 12 * 3600 - 1)

    aws.release(message, 1e9)


def test_an_acknowledgement_without_an_answer(stubbed, aws):
    """An acknowledgement that got no answer can be repeated."""
    [message] = lend(stubbed, aws)
    stubbed.add_client_error("delete_message", "ServiceUnavailable", "", 503)
    with pytest.raises(QueueUnavailable):
        aws.acknowledge(message)

    stubbed.add_response("delete_message", {}, {"QueueUrl": URL, "ReceiptHandle": "r"})
    aws.acknowledge(message)


def test_leases_are_forgotten(stubbed, clock, monkeypatch):
    """What has ended is not remembered for ever, and what is held up to a limit."""
    monkeypatch.setattr(sqs, "MOST_LEASES", 5)
    monkeypatch.setattr(sqs, "PRUNE_AT", 3)
    aws = SqsQueue(URL, stubbed.client, clock)
    for number in range(20):
        lend(stubbed, aws, receipts=(f"ended-{number}",))
        clock.now_s += 11
        assert len(aws._leases) <= 3

    held = [m for n in range(9) for m in lend(stubbed, aws, 100 + n, receipts=(f"held-{n}",))]
    assert sorted(aws._leases) == [m.receipt for m in held[-5:]]


def test_refused_entries_are_sent_again(stubbed, aws, no_pause):
    """What SQS refuses of a batch is sent again, and nothing else."""

    def expect(ids, successful):
        stubbed.add_response(
            "send_message_batch",
            {
                "Successful": [
                    {"Id": i, "MessageId": "m", "MD5OfMessageBody": "x"} for i in successful
                ],
                "Failed": [
                    {"Id": i, "SenderFault": False, "Code": "InternalError"}
                    for i in ids
                    if i not in successful
                ],
            },
            {"QueueUrl": URL, "Entries": [{"Id": i, "MessageBody": f"body-{i}"} for i in ids]},
        )

    expect("0123", "03")
    expect("12", "")
    expect("12", "12")
    aws.send([b"body-%d" % number for number in range(4)])

    for _ in range(sqs.TRIES):
        expect("0", "")
    with pytest.raises(QueueUnavailable, match=r"refused 1 messages .*InternalError"):
        aws.send([b"body-0"])


def expect_look_up(stubbed):
    """Expect that the dead-letter queue is looked up, and found."""
    policy = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:x", "maxReceiveCount": 9}
    stubbed.add_response(
        "get_queue_attributes", {"Attributes": {"RedrivePolicy": json.dumps(policy)}}
    )
    stubbed.add_response(
        "get_queue_url",
        {"QueueUrl": "https://dead/x"},
        {"QueueName": "x", "QueueOwnerAWSAccountId": "123456789012"},
    )


def expect_dead_letter(stubbed):
    """Expect that "r" is put aside, and removed then."""
    wanted = {
        "QueueUrl": "https://dead/x",
        "MessageBody": "one",
        "MessageAttributes": {"reason": {"DataType": "String", "StringValue": "why"}},
    }
    stubbed.add_response("send_message", {}, wanted)
    stubbed.add_response("delete_message", {}, {"QueueUrl": URL, "ReceiptHandle": "r"})


def test_a_dead_letter_is_sent_before_it_is_removed(stubbed, aws):
    """A dead letter that cannot be kept stays in the queue, and can be put aside again."""
    [message] = lend(stubbed, aws)
    expect_look_up(stubbed)
    stubbed.add_client_error("send_message", "RequestThrottled", "slower", 400)
    with pytest.raises(QueueUnavailable, match="slower"):
        aws.dead_letter(message, "why")

    expect_dead_letter(stubbed)
    aws.dead_letter(message, "why")


def test_a_dead_letter_queue_that_is_not_known_at_once(stubbed, aws):
    """SQS does not know at once what a new queue is like: nothing is removed for that."""
    [message] = lend(stubbed, aws)
    stubbed.add_response("get_queue_attributes", {})
    assert aws.dead is None

    expect_look_up(stubbed)
    expect_dead_letter(stubbed)
    aws.dead_letter(message, "why")

    # One that was found is asked for no more.
    assert aws.dead.url == "https://dead/x"


SECRET = "FwoGZXIvYXdzEXAMPLE"


@pytest.mark.parametrize(
    ("code", "status", "expected", "says"),
    [
        ("RequestThrottled", 400, QueueUnavailable, "RequestThrottled"),
        ("ThrottlingException", 400, QueueUnavailable, "Throttling"),
        ("OverLimit", 400, QueueUnavailable, "OverLimit"),
        ("KmsThrottled", 400, QueueUnavailable, "KmsThrottled"),
        ("InternalError", 500, QueueUnavailable, "InternalError"),
        ("", 503, QueueUnavailable, "HTTP 503"),
        ("", 429, QueueUnavailable, "HTTP 429"),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, QueueUnavailable, "no such queue"),
        ("QueueDoesNotExist", 400, QueueUnavailable, "no such queue"),
        ("AccessDenied", 403, UsageError, "not allowed .*not authorized"),
        ("AccessDeniedException", 400, UsageError, "not allowed"),
        ("KmsAccessDenied", 400, UsageError, "not allowed"),
        ("", 403, UsageError, "not allowed"),
        ("InvalidClientTokenId", 403, UsageError, "credentials are not accepted"),
        ("SignatureDoesNotMatch", 403, UsageError, "credentials are not accepted"),
        ("ExpiredToken", 403, UsageError, "have expired"),
        ("RequestExpired", 400, UsageError, "clock"),
        ("KmsDisabled", 400, UsageError, "KmsDisabled"),
        ("InvalidParameterValue", 400, UsageError, "InvalidParameterValue"),
    ],
)
def test_refusals(stubbed, aws, code, status, expected, says):
    """What AWS refuses may work later or is a definite sentence, with no credential in it."""
    message = (
        "User: arn:aws:iam::123456789012:user/u with AKIAIOSFODNN7EXAMPLE is not authorized\n"
        f"x-amz-security-token:{SECRET}"
    )
    for operation, act in (
        ("receive_message", lambda: aws.receive(lease_s=10)),
        ("send_message_batch", lambda: aws.send([b"one"])),
        ("get_queue_attributes", aws.waiting),
    ):
        stubbed.add_client_error(operation, code, message, status)
        with pytest.raises(expected, match=f"^cannot .* queue q: .*{says}") as failure:
            act()
        assert SECRET not in str(failure.value)
        assert "AKIA" not in str(failure.value)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="http://user:secret@h"),
        ConnectTimeoutError(endpoint_url="http://h"),
        ConnectionResetError("reset"),
    ],
)
def test_no_answer(error):
    """No answer may be one later."""
    client = aws_client()

    def fails(**_):
        raise error

    client.meta.events.register("before-call.sqs", fails)
    aws = SqsQueue(URL, client)
    with pytest.raises(QueueUnavailable, match="cannot receive from queue q: ") as failure:
        aws.receive(lease_s=10)
    assert "secret" not in str(failure.value)


def test_no_credentials(monkeypatch, tmp_path):
    """Without credentials the person is told so."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")

    with pytest.raises(UsageError, match="there are no AWS credentials"):
        open_queue("q")


MISSING = "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize("dead_letters", [True, False])
def test_no_permission_to_make(stubbed, dead_letters):
    """Who may not make a missing queue is told which one, and what AWS says."""
    stubbed.add_client_error("get_queue_url", MISSING, "no queue", 400)
    stubbed.add_client_error("create_queue", "AccessDenied", "no sqs:createqueue", 403)

    with pytest.raises(
        UsageError, match=r"there is no queue q.* us-east-1 .*cannot be made.*no sqs:createqueue"
    ):
        SqsQueue.open("q", client=stubbed.client, dead_letters=dead_letters)


def test_no_permission_to_look_up(stubbed):
    """Who may not look a queue up can use it by its URL, not by its name."""
    stubbed.add_client_error("get_queue_url", "AccessDenied", "no", 403)
    with pytest.raises(UsageError, match="cannot look up queue q"):
        SqsQueue.open("q", client=stubbed.client)

    stubbed.add_client_error("get_queue_url", "AccessDenied", "no", 403)
    assert SqsQueue.open(URL, client=stubbed.client).url == URL


def test_another_was_first(stubbed):
    """A queue that somebody else makes in the meantime, in another way, is used as it is."""
    stubbed.add_client_error("get_queue_url", MISSING, "no queue", 400)
    stubbed.add_client_error("create_queue", "QueueAlreadyExists", "other attributes", 400)
    stubbed.add_response("get_queue_url", {"QueueUrl": URL}, {"QueueName": "q"})
    stubbed.add_response("get_queue_attributes", {"Attributes": {"QueueArn": "arn"}})

    assert SqsQueue.open("q", client=stubbed.client, dead_letters=False).url == URL


def test_a_new_queue_is_not_known_at_once(stubbed, no_pause):
    """It takes AWS a moment until a new queue is known everywhere."""
    stubbed.add_client_error("get_queue_url", MISSING, "no queue", 400)
    stubbed.add_response("create_queue", {"QueueUrl": URL})
    for _ in range(3):
        stubbed.add_client_error("get_queue_attributes", MISSING, "no queue", 400)
    stubbed.add_response("get_queue_attributes", {"Attributes": {"QueueArn": "arn"}})

    assert SqsQueue.open("q", client=stubbed.client, dead_letters=False).url == URL


def test_made_again_too_soon(stubbed):
    """AWS makes no queue of a name for a minute after it was deleted: later it may."""
    stubbed.add_client_error("get_queue_url", MISSING, "no queue", 400)
    code = "AWS.SimpleQueueService.QueueDeletedRecently"
    stubbed.add_client_error("create_queue", code, "You must wait 60 seconds", 400)

    with pytest.raises(QueueUnavailable, match="wait 60 seconds"):
        SqsQueue.open("q", client=stubbed.client)


@pytest.mark.parametrize(
    ("wait_s", "lease_s", "waits"),
    [
        (0, 60, [0]),
        (0.01, 60, [1]),
        (0.25, 60, [1]),
        (1, 60, [1]),
        (1.4, 60, [1]),
        (1.6, 60, [2]),
        (20, 60, [20]),
        (20.3, 60, [20]),
        (45, 60, [20, 20, 5]),
        (7, 6, [3, 3, 1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_waits(monkeypatch, wait_s, lease_s, waits):
    """A long wait is made of several requests, none of which may use up the lease."""
    clock, asked = Clock(), []

    def receive_message(**request):
        asked.append(request["WaitTimeSeconds"])
        clock.now_s += request["WaitTimeSeconds"] + 0.01
        return {}

    monkeypatch.setattr(sqs, "time", SimpleNamespace(monotonic=clock))
    queue = SqsQueue(URL, SimpleNamespace(receive_message=receive_message), clock)

    assert queue.receive(wait_s=wait_s, lease_s=lease_s) == []
    assert asked == waits
