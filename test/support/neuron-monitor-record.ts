/** A made-up record with every member that neuron-monitor is known to print, in its order and its number style. */
export function fullRecord(options: { readonly pid?: number; readonly tag?: string; readonly periodSeconds?: number } = {}): string {
  const { pid = 4242, tag = 'train', periodSeconds = 4.999812 } = options;
  return JSON.stringify({
    neuron_runtime_data: [runtimeEntry(pid, tag, periodSeconds)],
    system_data: systemData(periodSeconds),
    instance_info: {
      instance_name: '',
      instance_id: 'i-00000000000000001',
      instance_type: 'trn2.3xlarge',
      instance_availability_zone: 'us-west-2d',
      instance_availability_zone_id: 'usw2-az4',
      instance_region: 'us-west-2',
      ami_id: 'ami-00000000000000002',
      subnet_id: 'subnet-00000000000000003',
      ultraserver_id: 'u-0000000000000004',
      error: '',
    },
    neuron_hardware_info: {
      neuron_device_type: 'trainium2',
      neuron_device_version: 'v4',
      neuroncore_version: 'v3d',
      neuron_device_count: 1,
      neuron_device_memory_size: 103079215104,
      neuroncore_per_device_count: 4,
      logical_neuroncore_config: 2,
      error: '',
    },
    neuron_k8s_info: {
      period: 15.030359284,
      neuroncores_k8s_info: { 0: { pod_name: 'p0', namespace: 'n0', container_name: ['c0', 'c1'] } },
      neurondevices_k8s_info: { 0: { pod_name: 'p0', namespace: 'n0', container_name: ['c0', 'c1'] } },
      error: '',
    },
  });
}

/** The shortest record there is: no process, no group. */
export const EMPTY_RECORD =
  '{"neuron_runtime_data":[],"system_data":null,"instance_info":{"error":""},"neuron_hardware_info":{"error":""}}';

function runtimeEntry(pid: number, tag: string, period: number): object {
  const percentiles = { p0: 0.0011, p1: 0.0011, p100: 0.0035, p25: 0.0012, p50: 0.0013, p75: 0.0014, p99: 0.003 };
  const cores = [0, 1, 2, 3];
  return {
    pid,
    neuron_runtime_tag: tag,
    error: '',
    report: {
      execution_stats: {
        period,
        error_summary: { generic: 7, numerical: 1, transient: 2, model: 3, runtime: 4, hardware: 5 },
        execution_summary: {
          completed: 260,
          completed_with_err: 1,
          completed_with_num_err: 2,
          timed_out: 3,
          incorrect_input: 4,
          failed_to_queue: 5,
        },
        latency_stats: { total_latency: percentiles, device_latency: percentiles },
        error: '',
      },
      memory_used: {
        period,
        neuron_runtime_used_bytes: {
          host: 610705408,
          neuron_device: 102298328,
          usage_breakdown: {
            host: { application_memory: 609656832, constants: 0, dma_buffers: 1048576, tensors: 0 },
            neuroncore_memory_usage: Object.fromEntries(cores.map((core) => [core, coreMemory(core)])),
          },
        },
        loaded_models: [loadedModel()],
        error: '',
      },
      neuron_runtime_vcpu_usage: { period, vcpu_usage: { user: 19.26, system: 3.95 }, error: '' },
      neuroncore_counters: {
        period,
        neuroncores_in_use: Object.fromEntries(cores.map((core) => [core, coreCounters(core)])),
        error: '',
      },
    },
  };
}

function coreMemory(core: number): object {
  return { constants: 196608 + core, model_code: 101125344, model_shared_scratchpad: 0, runtime_memory: 0, tensors: 943608 };
}

function coreCounters(core: number): object {
  return {
    neuroncore_utilization: 42.01 + core,
    flops: 1234567891011,
    effective_flops: 875590474948,
    v3d: {
      [`nc_v3.${2 * core}`]: { neuroncore_utilization: 21.01 + core },
      [`nc_v3.${2 * core + 1}`]: { neuroncore_utilization: 63.01 + core },
    },
  };
}

function loadedModel(): object {
  return {
    name: '/models/encoder/model.neff',
    uuid: '27d72f647dd811ed83b70e0372b2eb59',
    model_id: 10001,
    is_running: false,
    subgraphs: {
      sg_00: {
        memory_used_bytes: {
          host: 20608,
          neuron_device: 151936,
          usage_breakdown: {
            host: { application_memory: 20608, constants: 0, dma_buffers: 0, tensors: 0 },
            neuron_device: { constants: 98304, model_code: 53632, runtime_memory: 0, tensors: 0 },
          },
        },
        neuroncore_index: 0,
        v3d: 'nc_v3.0',
        neuron_device_index: 0,
      },
    },
  };
}

function systemData(period: number): object {
  const cpu = { user: 16.99, nice: 0, system: 2.94, idle: 80.08, io_wait: 0, irq: 0, soft_irq: 0 };
  return {
    memory_info: {
      period,
      memory_total_bytes: 33117732864,
      memory_used_bytes: 11233579008,
      swap_total_bytes: 0,
      swap_used_bytes: 0,
      error: '',
    },
    neuron_hw_counters: {
      period,
      neuron_devices: [
        { neuron_device_index: 0, mem_ecc_corrected: 1, mem_ecc_uncorrected: 2, sram_ecc_uncorrected: 3, sram_ecc_corrected: 4 },
      ],
      error: '',
    },
    vcpu_usage: { period, average_usage: cpu, usage_data: { 0: cpu, 1: cpu }, context_switch_count: 84801, error: '' },
  };
}
