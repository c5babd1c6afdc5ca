"""Oracle of the legacy page: the families of neuron-monitor-prometheus.py, built and rendered by the real prometheus_client.

Written from the families, labels and arithmetic that AWS documents and that its recorded pages show. Where the agent means to differ
from the script (docs/prometheus.md) the agent's rule is here: processes that ended are gone, of processes with one tag counters and
bytes and (up to 1) shares of a core are added and everything else is averaged, a null latency takes the percentiles away, labels follow the record, cores come in
the order of their index, and of a group without live series nothing is shown.

Protocol: one record of neuron-monitor on each line of stdin; for each one line on stdout, {"text": PAGE, "openmetrics": PAGE}.
`--ecc tally` adds the ECC counts of the records, as the script does; without it they are totals.
`--floats` instead: one number on each line of stdin, the client's spelling of it on stdout.
"""

import json
import sys
from collections import defaultdict

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

INSTANCE_LABELS = {
    "instance_name": "instance_name",
    "instance_id": "instance_id",
    "instance_type": "instance_type",
    "availability_zone": "instance_availability_zone",
    "region": "instance_region",
    "subnet_id": "subnet_id",
}
RUNTIME_GROUPS = ("execution_stats", "memory_used", "neuron_runtime_vcpu_usage", "neuroncore_counters")
SYSTEM_GROUPS = ("memory_info", "neuron_hw_counters", "vcpu_usage")
CORE_MEMORY = ("constants", "model_code", "model_shared_scratchpad", "runtime_memory", "tensors")
ECC_EVENTS = ("mem_ecc_corrected", "mem_ecc_uncorrected", "sram_ecc_corrected", "sram_ecc_uncorrected")
HARDWARE_LABELS = ("neuron_device_count", "neuroncore_per_device_count", "neuron_device_memory_size")


def by_index(members):
    return sorted((members or {}).items(), key=lambda member: int(member[0]))


class Process:
    """One life of a Neuron process: what it has counted so far."""

    def __init__(self, tag):
        self.tag = tag
        self.counted = defaultdict(int)


class Family:
    def __init__(self, group, kind, help_text):
        self.group = group
        self.kind = kind
        self.help = help_text
        self.lines = {}


class Page:
    """Families in the order in which the script makes them for a record; each line is a list of what processes add to it."""

    def __init__(self, instance):
        self.instance = instance
        self.group = None
        self.families = {}

    def family(self, kind, name, help_text):
        return self.families.setdefault(name, Family(self.group, kind, help_text))

    def put(self, family, labels, contributor, value):
        line = tuple(sorted({**self.instance, **labels}.items()))
        family.lines.setdefault(line, []).append((contributor, value))

    def shown(self):
        """A group's families come together, those without series as bare comments; where nothing of a group lives, none comes."""
        live = {family.group for family in self.families.values() if family.lines}
        return [(name, family) for name, family in self.families.items() if family.group in live]


class Oracle:
    def __init__(self, ecc_is_tally):
        self.ecc_is_tally = ecc_is_tally
        self.instance = {}
        self.processes = {}
        self.host = Process(None)
        # Of each counter: what every process has added, ended ones included, for as long as somebody adds.
        self.added = {}

    def pages(self, record):
        info = record.get("instance_info")
        if info is not None:
            self.instance = {label: info.get(key) or "" for label, key in INSTANCE_LABELS.items()}
            if info.get("ultraserver_id"):
                self.instance["ultraserver_id"] = info["ultraserver_id"]
        page = Page(self.instance or dict.fromkeys(INSTANCE_LABELS, ""))
        self.runtimes(page, record.get("neuron_runtime_data"))
        self.groups(page, SYSTEM_GROUPS, record.get("system_data"), self.host)
        page.group = None
        if info is not None:
            page.put(page.family("info", "instance_info", "EC2 instance information"), {}, None, 1)
        hardware = record.get("neuron_hardware_info")
        if hardware is not None:
            labels = {key: str(hardware[key]) for key in HARDWARE_LABELS if hardware.get(key) is not None}
            page.put(page.family("info", "neuron_hardware_info", "Neuron Hardware Information"), labels, None, 1)
        registry = self.registry(page)
        return {"text": generate_latest(registry).decode(), "openmetrics": generate_openmetrics(registry).decode()}

    def runtimes(self, page, runtimes):
        if runtimes is None:
            return
        reports = {(runtime["pid"], runtime["neuron_runtime_tag"]): runtime for runtime in runtimes}
        for key in [key for key in self.processes if key not in reports]:
            del self.processes[key]
        for key, runtime in reports.items():
            report = runtime.get("report") or {}
            if any(report.get(group) is not None for group in RUNTIME_GROUPS):
                self.processes.setdefault(key, Process(key[1]))
        for group in RUNTIME_GROUPS:
            for key, process in self.processes.items():
                if not reports[key].get("error"):
                    self.groups(page, (group,), reports[key].get("report"), process)

    def groups(self, page, names, holder, process):
        for name in names:
            data = (holder or {}).get(name)
            page.group = name
            if data is not None and not data.get("error"):
                getattr(self, name)(page, data, process, {} if process.tag is None else {"runtime_tag": process.tag})

    def count(self, page, family, labels, process, tally):
        key = (family.help, tuple(labels.items()))
        process.counted[key] += tally
        page.put(family, labels, process, process.counted[key])

    def execution_stats(self, page, data, process, tag):
        errors = page.family("total", "execution_errors_total", "Execution errors total")
        statuses = page.family("total", "execution_status_total", "Execution status total")
        latencies = page.family("mean", "execution_latency_seconds", "Execution latency in seconds")
        for error, tally in (data.get("error_summary") or {}).items():
            self.count(page, errors, {**tag, "error_type": error}, process, tally)
        for status, tally in (data.get("execution_summary") or {}).items():
            self.count(page, statuses, {**tag, "status_type": status}, process, tally)
        total = (data.get("latency_stats") or {}).get("total_latency") or {}
        for percentile, seconds in total.items():
            page.put(latencies, {**tag, "percentile": percentile}, process, seconds)

    def memory_used(self, page, data, process, tag):
        used = data.get("neuron_runtime_used_bytes") or {}
        family = page.family("sum", "neuron_runtime_memory_used_bytes", "Runtime memory used bytes")
        for location in ("host", "neuron_device"):
            if used.get(location) is not None:
                page.put(family, {**tag, "memory_location": location}, process, used[location])
        cores = (used.get("usage_breakdown") or {}).get("neuroncore_memory_usage")
        for kind in CORE_MEMORY:
            family = page.family("sum", f"neuroncore_memory_usage_{kind}", f"NeuronCore memory utilization for {kind}")
            for core, kinds in by_index(cores):
                if kind in kinds:
                    page.put(family, {**tag, "neuroncore": core, "memory_location": "None"}, process, kinds[kind])

    def neuron_runtime_vcpu_usage(self, page, data, process, tag):
        family = page.family("mean", "neuron_runtime_vcpu_usage_ratio", "Runtime vCPU utilization ratio")
        usage = data.get("vcpu_usage") or {}
        for mode in ("user", "system"):
            if usage.get(mode) is not None:
                page.put(family, {**tag, "usage_type": mode}, process, usage[mode] / 100.0)

    def neuroncore_counters(self, page, data, process, tag):
        family = page.family("share", "neuroncore_utilization_ratio", "NeuronCore utilization ratio")
        for core, counters in by_index(data.get("neuroncores_in_use")):
            if counters.get("neuroncore_utilization") is not None:
                page.put(family, {**tag, "neuroncore": core}, process, counters["neuroncore_utilization"] / 100.0)

    def memory_info(self, page, data, process, _tag):
        for key in ("memory_total_bytes", "memory_used_bytes", "swap_total_bytes", "swap_used_bytes"):
            family = page.family("sum", f"system_{key}", f"System {key.replace('_', ' ', 1)} bytes")
            if data.get(key) is not None:
                page.put(family, {}, process, data[key])

    def neuron_hw_counters(self, page, data, process, _tag):
        family = page.family("total", "hardware_ecc_events_total", "Hardware ecc events total")
        for device in data.get("neuron_devices") or []:
            for event in ECC_EVENTS:
                if device.get(event) is None:
                    continue
                labels = {"event_type": event, "neuron_device_index": str(device["neuron_device_index"])}
                if self.ecc_is_tally:
                    self.count(page, family, labels, process, device[event])
                else:
                    page.put(family, labels, process, device[event])

    def vcpu_usage(self, page, data, process, _tag):
        count = page.family("mean", "system_vcpu_count", "System vCPU count")
        ratio = page.family("mean", "system_vcpu_usage_ratio", "System CPU utilization ratio")
        if data.get("usage_data"):
            page.put(count, {}, process, len(data["usage_data"]))
        usage = data.get("average_usage")
        if usage is None:
            return
        user = usage["user"] + usage["nice"]
        system = usage["system"] + usage["io_wait"] + usage["irq"] + usage["soft_irq"]
        for mode, percent in (("user", user), ("system", system)):
            page.put(ratio, {"usage_type": mode}, process, min(percent, 100.0) / 100.0)

    def registry(self, page):
        registry = CollectorRegistry()
        added = {}
        for name, family in page.shown():
            labels = [label for label, _ in next(iter(family.lines), [("none", "")])]
            if family.kind == "info":
                (line,) = family.lines
                Info(name.removesuffix("_info"), family.help, registry=registry).info(dict(line))
                continue
            metric = (Counter if family.kind == "total" else Gauge)(name, family.help, labels, registry=registry)
            for line, contributions in family.lines.items():
                child = metric.labels(**dict(line))
                if family.kind == "total":
                    added[name, line] = {**self.added.get((name, line), {}), **dict(contributions)}
                    child.inc(sum(added[name, line].values()))
                    continue
                total = 0
                # Not sum(): since Python 3.12 it rounds better than plain addition.
                for _, value in contributions:
                    total += value
                if family.kind == "mean":
                    total /= len(contributions)
                elif family.kind == "share" and len(contributions) > 1:
                    total = min(total, 1)
                child.set(total)
        self.added = added
        return registry


def main():
    if "--floats" in sys.argv:
        for line in sys.stdin:
            print(floatToGoString(float(line)))
        return
    oracle = Oracle(ecc_is_tally="tally" in sys.argv)
    for line in sys.stdin:
        print(json.dumps(oracle.pages(json.loads(line))))


if __name__ == "__main__":
    main()
