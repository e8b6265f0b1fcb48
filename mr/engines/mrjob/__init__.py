"""Jobs on Hadoop, EMR, Dataproc and Spark, by way of mrjob (the extra `[mrjob]`)."""

from mr.engines.mrjob.telemetry_job import as_mrjob

__all__ = ["as_mrjob"]
