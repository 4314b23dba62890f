"""What ``fink bench`` measures: throughput, latency, CPU and memory, on real services with real drivers."""
