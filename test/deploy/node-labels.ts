/** Labels and taints of one node, as the software that made the node sets them. */
export interface NodeCase {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
}

const TYPE = 'node.kubernetes.io/instance-type';
const NEURON_TAINT = { key: 'aws.amazon.com/neuron', value: 'true', effect: 'NoSchedule' };

/** Nodes with Neuron devices. Sources: EKS, Karpenter, HyperPod and Neuron documents, and manifests of public repositories. */
export const NEURON_NODES: readonly NodeCase[] = [
  { name: 'an EKS managed node group of trn1', labels: { [TYPE]: 'trn1.32xlarge' } },
  { name: 'an EKS managed node group of trn2a', labels: { [TYPE]: 'trn2a.48xlarge' }, taints: [NEURON_TAINT] },
  { name: 'a self-managed node of inf1', labels: { [TYPE]: 'inf1.6xlarge' } },
  { name: 'a self-managed node of trn3', labels: { [TYPE]: 'trn3.48xlarge' }, taints: [NEURON_TAINT] },
  {
    name: 'a Karpenter node of trn2',
    labels: { [TYPE]: 'trn2.48xlarge', 'karpenter.k8s.aws/instance-accelerator-manufacturer': 'aws' },
    taints: [NEURON_TAINT],
  },
  {
    name: 'a Karpenter node of a type that no list has yet',
    labels: { [TYPE]: 'trn9.96xlarge', 'karpenter.k8s.aws/instance-accelerator-manufacturer': 'aws' },
  },
  {
    name: 'an EKS Auto Mode node of inf2',
    labels: { [TYPE]: 'inf2.xlarge', 'eks.amazonaws.com/instance-accelerator-manufacturer': 'aws' },
  },
  {
    name: 'an EKS Auto Mode node of trn2n',
    labels: { [TYPE]: 'trn2n.48xlarge', 'eks.amazonaws.com/instance-accelerator-manufacturer': 'aws' },
  },
  { name: 'a HyperPod node of trn1', labels: { [TYPE]: 'ml.trn1.32xlarge' } },
  {
    name: 'a HyperPod node of trn2 that is marked sick',
    labels: { [TYPE]: 'ml.trn2.48xlarge', 'sagemaker.amazonaws.com/node-health-status': 'UnschedulablePendingReplacement' },
    taints: [{ key: 'sagemaker.amazonaws.com/node-health-status', value: 'Unschedulable', effect: 'NoSchedule' }],
  },
  { name: 'a node that the Neuron device plugin labelled', labels: { [TYPE]: 'unknown.8xlarge', 'neuron.amazonaws.com/present': 'true' } },
  {
    name: 'an OpenShift node with AWS’s Neuron operator',
    labels: { [TYPE]: 'unknown.8xlarge', 'feature.node.kubernetes.io/aws-neuron': 'true' },
  },
  {
    name: 'a cordoned node with memory pressure',
    labels: { [TYPE]: 'inf2.48xlarge' },
    taints: [
      { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' },
      { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' },
      { key: 'dedicated', value: 'training', effect: 'NoExecute' },
    ],
  },
];

/** Nodes without Neuron devices. */
export const OTHER_NODES: readonly NodeCase[] = [
  { name: 'a node without accelerators', labels: { [TYPE]: 'm7i.2xlarge' } },
  {
    name: 'a Karpenter node with GPUs',
    labels: { [TYPE]: 'p5.48xlarge', 'karpenter.k8s.aws/instance-accelerator-manufacturer': 'nvidia' },
  },
  { name: 'an EKS Auto Mode node with GPUs', labels: { [TYPE]: 'g6e.xlarge', 'eks.amazonaws.com/instance-gpu-manufacturer': 'nvidia' } },
  { name: 'a HyperPod node with GPUs', labels: { [TYPE]: 'ml.p5.48xlarge' } },
];
