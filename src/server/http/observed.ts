import { Counter, Gauge, type Registry } from 'prom-client';

/** Adds a metric whose value is asked for when metrics are. */
export function addGauge(registry: Registry, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value());
    },
  });
}

/** {@link addGauge} of a number that only grows. */
export function addTotal(registry: Registry, name: string, help: string, value: () => number): void {
  let told = 0;
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      const now = value();
      this.inc(now - told);
      told = now;
    },
  });
}
