"""The cloud's store and queue: S3 and SQS, and what speaks to them. Only here boto3 is imported."""
