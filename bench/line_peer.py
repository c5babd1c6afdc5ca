"""Peer of `npm run bench -- line`: what neuron-monitor-prometheus.py does with a record, on Python's prometheus_client.

Written from the families, labels and arithmetic that AWS documents and that its recorded pages show. The real script renders on
scrape; here a page is rendered after each record, as it is where the scrape interval equals the period.

Protocol: one record per line on stdin; one line on stdout when it is done:
`<cpu nanoseconds> <wall nanoseconds> <bytes of the page>`.
"""

import json
import sys
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, generate_latest

INSTANCE_LABELS = {
    "instance_name": "instance_name",
    "instance_id": "instance_id",
    "instance_type": "instance_type",
    "availability_zone": "instance_availability_zone",
    "region": "instance_region",
    "subnet_id": "subnet_id",
}
LATENCY_PERCENTILES = ("p0", "p1", "p25", "p50", "p75", "p99", "p100")
ECC_EVENTS = ("mem_ecc_corrected", "mem_ecc_uncorrected", "sram_ecc_corrected", "sram_ecc_uncorrected")


class Exporter:
    """Families are made when first seen, with the instance labels of the first record, as the script does."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.families = {}
        self.instance = None

    def metric(self, kind, name, help_text, labels, amount):
        family = self.families.get(name)
        if family is None:
            names = sorted([*self.instance, *labels])
            family = self.families[name] = kind(name, help_text, names, registry=self.registry)
        child = family.labels(**self.instance, **labels)
        if kind is Counter:
            child.inc(amount)
        else:
            child.set(amount)

    def gauge(self, name, help_text, labels, value):
        self.metric(Gauge, name, help_text, labels, value)

    def counter(self, name, help_text, labels, amount):
        self.metric(Counter, name, help_text, labels, amount)

    def record(self, record):
        if self.instance is None:
            info = record["instance_info"]
            self.instance = {label: info[key] for label, key in INSTANCE_LABELS.items()}
            hardware = record["neuron_hardware_info"]
            Info("instance", "EC2 instance information", registry=self.registry).info(self.instance)
            Info("neuron_hardware", "Neuron Hardware Information", registry=self.registry).info(
                {key: str(hardware[key]) for key in ("neuron_device_count", "neuroncore_per_device_count")}
            )
        for runtime in record["neuron_runtime_data"]:
            if runtime["error"]:
                print(runtime["error"], file=sys.stderr)
                continue
            self.runtime(runtime["neuron_runtime_tag"], runtime["report"])
        if record["system_data"] is not None:
            self.system(record["system_data"])

    def runtime(self, tag, report):
        handlers = {
            "execution_stats": self.execution_stats,
            "memory_used": self.memory_used,
            "neuron_runtime_vcpu_usage": self.vcpu,
            "neuroncore_counters": self.cores,
        }
        for group, data in report.items():
            if data["error"]:
                print(data["error"], file=sys.stderr)
                continue
            handlers[group](tag, data)

    def execution_stats(self, tag, data):
        for kind, tally in data["error_summary"].items():
            self.counter("execution_errors_total", "Execution errors total", {"runtime_tag": tag, "error_type": kind}, tally)
        for kind, tally in data["execution_summary"].items():
            self.counter("execution_status_total", "Execution status total", {"runtime_tag": tag, "status_type": kind}, tally)
        latency = data["latency_stats"]["total_latency"]
        if latency is not None:
            for percentile in LATENCY_PERCENTILES:
                labels = {"runtime_tag": tag, "percentile": percentile}
                self.gauge("execution_latency_seconds", "Execution latency in seconds", labels, latency[percentile])

    def memory_used(self, tag, data):
        used = data["neuron_runtime_used_bytes"]
        for location in ("host", "neuron_device"):
            labels = {"runtime_tag": tag, "memory_location": location}
            self.gauge("neuron_runtime_memory_used_bytes", "Runtime memory used bytes", labels, used[location])
        for core, kinds in used["usage_breakdown"]["neuroncore_memory_usage"].items():
            for kind, size in kinds.items():
                labels = {"runtime_tag": tag, "neuroncore": core, "memory_location": "None"}
                self.gauge(f"neuroncore_memory_usage_{kind}", f"NeuronCore memory utilization for {kind}", labels, size)

    def vcpu(self, tag, data):
        for mode, percent in data["vcpu_usage"].items():
            labels = {"runtime_tag": tag, "usage_type": mode}
            self.gauge("neuron_runtime_vcpu_usage_ratio", "Runtime vCPU utilization ratio", labels, percent / 100)

    def cores(self, tag, data):
        for core, counters in data["neuroncores_in_use"].items():
            labels = {"runtime_tag": tag, "neuroncore": core}
            ratio = counters["neuroncore_utilization"] / 100
            self.gauge("neuroncore_utilization_ratio", "NeuronCore utilization ratio", labels, ratio)

    def system(self, data):
        if "memory_info" in data:
            for key in ("memory_total_bytes", "memory_used_bytes", "swap_total_bytes", "swap_used_bytes"):
                self.gauge(f"system_{key}", f"System {key.replace('_', ' ', 1)} bytes", {}, data["memory_info"][key])
        if "vcpu_usage" in data:
            vcpus = data["vcpu_usage"]
            self.gauge("system_vcpu_count", "System vCPU count", {}, len(vcpus["usage_data"]))
            usage = vcpus["average_usage"]
            user = usage["user"] + usage["nice"]
            system = usage["system"] + usage["io_wait"] + usage["irq"] + usage["soft_irq"]
            for mode, percent in (("user", user), ("system", system)):
                ratio = min(percent, 100) / 100
                self.gauge("system_vcpu_usage_ratio", "System CPU utilization ratio", {"usage_type": mode}, ratio)
        if "neuron_hw_counters" in data:
            for device in data["neuron_hw_counters"]["neuron_devices"]:
                for event in ECC_EVENTS:
                    labels = {"event_type": event, "neuron_device_index": str(device["neuron_device_index"])}
                    self.counter("hardware_ecc_events_total", "Hardware ecc events total", labels, device[event])


def main():
    exporter = Exporter()
    for line in sys.stdin.buffer:
        cpu, wall = time.process_time_ns(), time.monotonic_ns()
        exporter.record(json.loads(line))
        page = generate_latest(exporter.registry)
        cpu, wall = time.process_time_ns() - cpu, time.monotonic_ns() - wall
        sys.stdout.write(f"{cpu} {wall} {len(page)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
