import type { AgentError } from '../../../src/errors.ts';
import type { DropReason, DeliveryEvents } from '../../../exporters/delivery/events.ts';

/** Counts what telemetry is told. */
export class EventCounts implements DeliveryEvents {
  producedPoints = 0;
  recoveredPoints = 0;
  sentPoints = 0;
  readonly dropped_: Partial<Record<DropReason, number>> = {};
  readonly failures: AgentError[] = [];
  readonly queueFailures: AgentError[] = [];
  damages = 0;
  durable = 0;

  get droppedPoints(): number {
    return Object.values(this.dropped_).reduce((sum, points) => sum + points, 0);
  }

  /** 0 when every point is accounted for. */
  missing(queuedPoints: number): number {
    return this.producedPoints + this.recoveredPoints - this.sentPoints - this.droppedPoints - queuedPoints;
  }

  produced(points: number): void {
    this.producedPoints += points;
  }

  recovered(points: number): void {
    this.recoveredPoints += points;
  }

  sent(points: number): void {
    this.sentPoints += points;
  }

  dropped(points: number, reason: DropReason): void {
    this.dropped_[reason] = (this.dropped_[reason] ?? 0) + points;
  }

  attemptFailed(_points: number, error: AgentError): void {
    this.failures.push(error);
  }

  queueDamaged(places: number): void {
    this.damages += places;
  }

  queueFailed(error: AgentError): void {
    this.queueFailures.push(error);
  }

  queueDurable(): void {
    this.durable += 1;
  }
}
