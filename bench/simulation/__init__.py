"""Jobs of tens of thousands of tasks on hundreds of machines, in simulated time.

The planner and the scheduler are the real ones; S3, SQS and the machines are simulated.
"""
