import type { TranslationStrategy } from '../exporters/prometheus/naming.ts';
import type { Naming } from './schema-exporters.ts';

/** `exporters.prometheus` of the file. */
export interface PrometheusSettings {
  readonly host: string;
  readonly port: number;
  readonly naming: Naming;
  readonly translation_strategy: TranslationStrategy;
  readonly listen: readonly string[];
  readonly systemd_socket: boolean;
  readonly web_config_file: string | null;
  readonly telemetry_path: string;
  readonly max_requests: number;
  readonly scope_labels: boolean;
  readonly identity_labels: boolean;
  readonly resource_labels: readonly string[];
  readonly target_info: boolean;
  readonly legacy: { readonly pod_labels: boolean; readonly process_label: boolean };
}
