"""Pages within Airflow's web interface; ``dags/plugins`` registers them. A page reads, and changes nothing."""
