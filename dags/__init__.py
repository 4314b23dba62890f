"""Airflow's view of the broker: declarations only, no science, no Spark.

The project's root must be on ``PYTHONPATH`` of every Airflow process: operators and triggers are imported as
``dags.operators.…`` (the triggerer finds a trigger by that name), and ``fink_lib`` beside them.
"""
