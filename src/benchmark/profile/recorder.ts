import type { Device } from '../../tensor/device.js';
import { layerNative, type NativeCall, type NativeModule, type NativeProgram } from '../../tensor/native.js';
import { opEntry } from '../../tensor/op-entry.js';
import { describeCall, type DescribedCall, type Work } from './op-work.js';

/** One call that was timed. */
export interface ProfiledCall extends Work {
  readonly phase: string;
  readonly op: string;
  readonly pass: 'forward' | 'backward';
  readonly dtype: string;
  /** From the end of the previous call, or from its own enqueuing if that was later, to its end. */
  readonly seconds: number;
  /** Time before it in which the device had nothing to do and waited for JavaScript. */
  readonly waitSeconds: number;
  /** CPU time of this process during these seconds and the wait. */
  readonly cpuSeconds: number;
}

/** A part of a recorded program: the one call in it. */
interface Part {
  readonly program: NativeProgram;
  readonly call: DescribedCall;
}

/**
 * Times every call that a device runs. After each call a mark is queued, and the time between two marks is the call's.
 * A recorded program is recorded as programs of one call each, so that each repetition of each call has its mark.
 *
 * Marks arrive on the event loop. When several calls end while JavaScript is busy, the first gets the time of all.
 * Slices of JavaScript take about 1 ms, so this affects calls that take less.
 */
export class ProfileRecorder {
  readonly calls: ProfiledCall[] = [];
  /** Of what is enqueued now. */
  phase: string;
  /** Receives the call that is being enqueued. */
  private enqueued: { told?: (call: DescribedCall) => void } | undefined;
  private readonly described = new WeakMap<NativeCall, DescribedCall>();
  private readonly parts = new WeakMap<NativeProgram, Part[]>();
  private recording: Part[] | undefined;
  private last = { at: performance.now(), cpu: process.cpuUsage() };
  private readonly marks: Promise<void>[] = [];
  private failure: unknown;

  private constructor(
    private readonly device: Device,
    base: string,
  ) {
    this.phase = base;
  }

  /**
   * Runs work and times what the device runs meanwhile; nothing else must use a device.
   *
   * @param base the phase of what happens outside of all phases
   */
  static async record(
    device: Device,
    base: string,
    work: (recorder: ProfileRecorder) => Promise<unknown>,
  ): Promise<{ calls: ProfiledCall[]; seconds: number }> {
    await device.synchronize();
    const recorder = new ProfileRecorder(device, base);
    const restore = recorder.attach();
    const began = performance.now();
    recorder.last = { at: began, cpu: process.cpuUsage() };
    let seconds;
    try {
      await work(recorder);
      await Promise.all(recorder.marks);
      seconds = (performance.now() - began) / 1000;
    } finally {
      restore();
    }
    if (recorder.failure !== undefined) throw recorder.failure;
    return { calls: recorder.calls, seconds };
  }

  /** Runs work that enqueues at once, as a phase. */
  within<T>(phase: string, work: () => T): T {
    const outer = this.phase;
    this.phase = phase;
    try {
      return work();
    } finally {
      this.phase = outer;
    }
  }

  private attach(): () => void {
    const { device } = this;
    const apply = device.apply.bind(device);
    // An own property hides the method of the class.
    device.apply = (name, inputs, attributes = {}) => {
      const enqueued: { told?: (call: DescribedCall) => void } = {};
      this.enqueued = enqueued;
      const outputs = apply(name, inputs, attributes);
      this.enqueued = undefined;
      // What a call is follows from its outputs, too; it was enqueued inside.
      enqueued.told?.(describeCall(name, inputs, outputs, attributes));
      return outputs;
    };
    const restore = layerNative((inner) => this.layer(inner));
    return () => {
      restore();
      delete (device as Partial<Device>).apply;
    };
  }

  private layer(inner: NativeModule): NativeModule {
    return {
      ...inner,
      enqueue: (device, op, save, numbers, ...values) => {
        const made = inner.enqueue(device, op, save, numbers, ...values);
        const { enqueued } = this;
        const part = this.recording && this.cut(inner);
        const phase = this.phase;
        if (enqueued)
          enqueued.told = (call) => {
            if (save) this.described.set((made ? made.at(-1) : save) as NativeCall, call);
            if (part) part.list.push({ program: part.program, call });
            else this.mark(inner, phase, call, 'forward', call.work);
          };
        return made;
      },
      enqueueBackward: (device, call, ...values) => {
        const described = this.described.get(call);
        inner.enqueueBackward(device, call, ...values);
        if (!described) return;
        const { outputs, inputs } = opEntry(described.op).spec;
        const gradInputs = values.slice(outputs.length).slice(0, inputs.length);
        const betas = values.slice(outputs.length + inputs.length) as number[];
        const work = described.backward(gradInputs.map((gradient) => gradient !== null), betas); // prettier-ignore
        this.mark(inner, this.phase, described, 'backward', work);
      },
      beginRecording: (device) => {
        inner.beginRecording(device);
        this.recording = [];
      },
      endRecording: (device) => {
        const program = inner.endRecording(device);
        if (this.recording) this.parts.set(program, this.recording);
        this.recording = undefined;
        return program;
      },
      resumeRecording: (device, program) => {
        inner.resumeRecording(device, program);
        this.recording = this.parts.get(program) ?? [];
      },
      replay: (device, program, times, stop) => {
        const parts = this.parts.get(program);
        if (!parts) {
          inner.replay(device, program, times, stop);
          return;
        }
        // Only the device knows whether a program ends early; the profiled ones never do.
        for (let round = 0; round < times; round++)
          for (const { program: one, call } of parts) {
            inner.replay(device, one, 1, null);
            this.mark(inner, 'decode step', call, 'forward', call.work);
          }
      },
      releaseProgram: (device, program) => {
        for (const { program: one } of this.parts.get(program) ?? []) inner.releaseProgram(device, one);
        inner.releaseProgram(device, program);
      },
    };
  }

  /** Ends the program that is being recorded behind its one call, and begins the next. */
  private cut(inner: NativeModule): { program: NativeProgram; list: Part[] } {
    const program = inner.endRecording(this.device.handle);
    inner.beginRecording(this.device.handle);
    return { program, list: this.recording as Part[] };
  }

  private mark(
    inner: NativeModule,
    phase: string,
    { op, dtype }: DescribedCall,
    pass: ProfiledCall['pass'],
    work: Work,
  ): void {
    const asked = performance.now();
    const done = (): void => {
      const at = performance.now();
      const cpu = process.cpuUsage();
      const { last } = this;
      const begin = Math.min(at, Math.max(last.at, asked));
      this.calls.push({
        ...{ phase, op, pass, dtype, ...work },
        seconds: (at - begin) / 1000,
        waitSeconds: (begin - last.at) / 1000,
        cpuSeconds: (cpu.user + cpu.system - last.cpu.user - last.cpu.system) / 1e6,
      });
      this.last = { at, cpu };
    };
    this.marks.push(
      inner.synchronize(this.device.handle).then(done, (error: unknown) => {
        this.failure ??= error;
      }),
    );
  }
}
