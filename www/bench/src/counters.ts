// Counts what the libraries ask of WebGPU and of WebAssembly, by standing in front of the browser's own functions.
// Must be imported before either library.

/** All bytes; totals since the last {@link take}, but for `buffers`, `peakBuffers` and `wasm`, which are levels. */
export interface Counts {
  /** Compute dispatches. */
  dispatches: number;
  /** Compute pipelines made. */
  pipelines: number;
  /** Written into buffers from the CPU. */
  uploaded: number;
  /** Mapped for the CPU to read. */
  readBack: number;
  /** Sum over dispatches of the buffers bound: an upper bound for what the kernels read and write. */
  bound: number;
  /** Buffers that exist: neither destroyed nor garbage-collected. */
  buffers: number;
  peakBuffers: number;
  /** Linear memories; they never shrink, so this is the peak too. */
  wasm: number;
}

const counts = {
  dispatches: 0,
  pipelines: 0,
  uploaded: 0,
  readBack: 0,
  bound: 0,
  buffers: 0,
  peakBuffers: 0,
};
const memories = new Set<WebAssembly.Memory>();
let dry = false;
let queue: GPUQueue | undefined;

/** With `on`, dispatches are counted and not run: what they would compute is lost, so only counts mean something. */
export function dryRun(on: boolean): void {
  dry = on;
}

/** The counts so far; the next ones begin at 0. */
export function take(): Counts {
  const wasm = [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
  const taken = { ...counts, wasm };
  Object.assign(counts, { dispatches: 0, pipelines: 0, uploaded: 0, readBack: 0, bound: 0 });
  return taken;
}

/** Waits until the GPU has done all that was submitted to the latest device. */
export async function gpuIdle(): Promise<void> {
  await queue?.onSubmittedWorkDone();
}

/** Replaces `object[name]` by a function that gets the original, already bound, and the arguments. */
function wrap<T extends object, K extends keyof T & string>(
  object: T | undefined,
  name: K,
  // biome-ignore lint/suspicious/noExplicitAny: as various as the functions it wraps
  around: (original: (...args: any[]) => any, args: any[], self: any) => unknown,
): void {
  if (!object) return;
  const original = object[name] as (...args: unknown[]) => unknown;
  object[name] = function (this: unknown, ...args: unknown[]) {
    return around((...given) => original.apply(this, given), args, this);
  } as T[K];
}

// ---------------------------------------------------------------------------------------------- WebAssembly

function noteMemories(instance: WebAssembly.Instance): void {
  for (const value of Object.values(instance.exports)) {
    if (value instanceof WebAssembly.Memory) memories.add(value);
  }
}
for (const name of ["instantiate", "instantiateStreaming"] as const) {
  wrap(WebAssembly as unknown as Record<string, unknown>, name, async (original, args) => {
    const made = await original(...args);
    noteMemories(made.instance ?? made);
    return made;
  });
}
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(target, args) {
    const memory = new target(...(args as [WebAssembly.MemoryDescriptor]));
    memories.add(memory);
    return memory;
  },
});

// --------------------------------------------------------------------------------------------------- WebGPU

const proto = <T>(name: string) =>
  (globalThis as unknown as Record<string, { prototype: T }>)[name]?.prototype;
const groupBytes = new WeakMap<GPUBindGroup, number>();
const boundGroups = new WeakMap<GPUComputePassEncoder, number[]>();
const alive = new Map<object, number>();
const collected = new FinalizationRegistry<object>((token) => forget(token));
const tokens = new WeakMap<GPUBuffer, object>();

function forget(token: object | undefined): void {
  if (!token) return;
  counts.buffers -= alive.get(token) ?? 0;
  alive.delete(token);
}

wrap(proto<GPUAdapter>("GPUAdapter"), "requestDevice", async (original, args) => {
  const device: GPUDevice = await original(...args);
  queue = device.queue;
  return device;
});
const device = proto<GPUDevice>("GPUDevice");
wrap(device, "createBuffer", (original, args) => {
  const buffer: GPUBuffer = original(...args);
  const { size, mappedAtCreation } = args[0] as GPUBufferDescriptor;
  const token = {};
  alive.set(token, size);
  tokens.set(buffer, token);
  collected.register(buffer, token);
  counts.buffers += size;
  counts.peakBuffers = Math.max(counts.peakBuffers, counts.buffers);
  if (mappedAtCreation) counts.uploaded += size;
  return buffer;
});
for (const name of ["createComputePipeline", "createComputePipelineAsync"] as const) {
  wrap(device, name, (original, args) => {
    counts.pipelines++;
    return original(...args);
  });
}
wrap(device, "createBindGroup", (original, args) => {
  const group: GPUBindGroup = original(...args);
  let bytes = 0;
  for (const { resource } of (args[0] as GPUBindGroupDescriptor).entries) {
    if (resource instanceof GPUBuffer) bytes += resource.size;
    else if ("buffer" in resource) bytes += resource.size ?? resource.buffer.size - (resource.offset ?? 0);
  }
  groupBytes.set(group, bytes);
  return group;
});
const pass = proto<GPUComputePassEncoder>("GPUComputePassEncoder");
wrap(pass, "setBindGroup", (original, args, self) => {
  const bound = boundGroups.get(self) ?? [];
  bound[args[0]] = args[1] ? (groupBytes.get(args[1]) ?? 0) : 0;
  boundGroups.set(self, bound);
  return original(...args);
});
for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"] as const) {
  wrap(pass, name, (original, args, self) => {
    counts.dispatches++;
    counts.bound += (boundGroups.get(self) ?? []).reduce((sum, bytes) => sum + (bytes ?? 0), 0);
    return dry ? undefined : original(...args);
  });
}
wrap(proto<GPUQueue>("GPUQueue"), "writeBuffer", (original, args) => {
  const [, , data, offset = 0, size] = args as Parameters<GPUQueue["writeBuffer"]>;
  const unit = "BYTES_PER_ELEMENT" in data ? (data as Uint8Array).BYTES_PER_ELEMENT : 1;
  counts.uploaded += size === undefined ? data.byteLength - offset * unit : size * unit;
  return original(...args);
});
const buffer = proto<GPUBuffer>("GPUBuffer");
wrap(buffer, "mapAsync", (original, args, self) => {
  const [mode, offset = 0, size] = args as Parameters<GPUBuffer["mapAsync"]>;
  if (mode & GPUMapMode.READ) counts.readBack += size ?? self.size - offset;
  return original(...args);
});
wrap(buffer, "destroy", (original, _, self) => {
  forget(tokens.get(self));
  return original();
});
