"""Jobs up to petabytes in simulated time: time, cost, and what breaks first (docs/scale.md).

    python -m bench.simulate
    python -m bench.simulate --part 2013 --json
    python -m bench.simulate --write

The planner and the scheduler are the real ones; S3, SQS and the machines are simulated.
"""

from bench.simulation.main import main

if __name__ == "__main__":
    main()
