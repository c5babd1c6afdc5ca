/** Where a process runs, as far as the names of its control groups tell. */
export interface CgroupPlace {
  /** Semantic conventions' `container.id`. */
  readonly containerId?: string;
  /** Semantic conventions' `k8s.pod.uid`, with dashes. */
  readonly podUid?: string;
}

/**
 * The container runtimes' own names, as last part of a path or as a systemd scope in it: `docker-<id>.scope`, `cri-containerd-<id>.scope`,
 * `crio-<id>.scope`, `libpod-<id>.scope`, `….slice:cri-containerd:<id>`, or `<id>` alone. Ids are 64 hex digits; Amazon ECS on Fargate
 * has 32 hex digits and a number. `crio-conmon-<id>.scope` is the container's monitor, not the container.
 */
const CONTAINER =
  /^(?:(?:docker|cri-containerd|crio|libpod|nerdctl)-|[^/]*:(?:cri-containerd|docker|crio):)?([0-9a-f]{64}|[0-9a-f]{32}-\d{1,20})(?:\.scope)?$/;

/**
 * kubelet's: `pod<uid>` (cgroupfs) or `kubepods-burstable-pod<uid with underscores>.slice` (systemd).
 * A static pod's uid is a hash: 32 hex digits without dashes.
 */
const POD = /(?:^|-)pod([0-9a-f]{8}([-_])[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?::|$)/;

/**
 * Parses `/proc/<pid>/cgroup`, cgroups(7), of version 1 and 2. Innermost names win, so that a container within a container is itself.
 * In a control group namespace the outer part of a path is hidden, and with it maybe the pod.
 */
export function parseCgroup(text: string): CgroupPlace {
  let containerId: string | undefined;
  let podUid: string | undefined;
  for (const line of text.split('\n')) {
    const path = /^\d+:[^:]*:(\/.*)$/.exec(line)?.[1];
    if (path === undefined) continue;
    for (const part of path.split('/').toReversed()) {
      containerId ??= CONTAINER.exec(part)?.[1];
      podUid ??= POD.exec(part)?.[1]?.replaceAll('_', '-');
    }
  }
  return { ...(containerId !== undefined && { containerId }), ...(podUid !== undefined && { podUid }) };
}
