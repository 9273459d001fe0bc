// A plain matrix product by hand, as the yardstick for what this adapter gives.

const [M, K, N] = [1024, 384, 1536];

/** No workgroup memory, so no barriers: what a software adapter is best at. Each invocation makes 4 x 4 outputs. */
const BARRIER_FREE = /* wgsl */ `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y * 4;
  let column = id.x;
  var r0 = vec4f(); var r1 = vec4f(); var r2 = vec4f(); var r3 = vec4f();
  for (var k = 0u; k < ${K}u; k++) {
    let v = b[k * ${N / 4}u + column];
    r0 += a[row * ${K}u + k] * v;
    r1 += a[(row + 1) * ${K}u + k] * v;
    r2 += a[(row + 2) * ${K}u + k] * v;
    r3 += a[(row + 3) * ${K}u + k] * v;
  }
  c[row * ${N / 4}u + column] = r0;
  c[(row + 1) * ${N / 4}u + column] = r1;
  c[(row + 2) * ${N / 4}u + column] = r2;
  c[(row + 3) * ${N / 4}u + column] = r3;
}`;

/** 64 x 64 outputs a workgroup through workgroup memory, 4 x 4 an invocation: what a GPU is good at. */
const TILED = /* wgsl */ `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
var<workgroup> tile_a: array<vec4f, 256>; // 64 rows of 16 values
var<workgroup> tile_b: array<vec4f, 256>; // 16 rows of 64 values
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) id: vec3u, @builtin(local_invocation_index) i: u32) {
  var sums: array<vec4f, 4>;
  for (var k = 0u; k < ${K}u; k += 16u) {
    tile_a[i] = a[((group.y * 64u + i / 4u) * ${K}u + k) / 4u + i % 4u];
    tile_b[i] = b[(k + i / 16u) * ${N / 4}u + group.x * 16u + i % 16u];
    workgroupBarrier();
    for (var q = 0u; q < 4u; q++) {
      let b0 = tile_b[(q * 4u) * 16u + id.x];
      let b1 = tile_b[(q * 4u + 1u) * 16u + id.x];
      let b2 = tile_b[(q * 4u + 2u) * 16u + id.x];
      let b3 = tile_b[(q * 4u + 3u) * 16u + id.x];
      for (var r = 0u; r < 4u; r++) {
        let v = tile_a[(id.y * 4u + r) * 4u + q];
        sums[r] += v.x * b0 + v.y * b1 + v.z * b2 + v.w * b3;
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    c[(group.y * 64u + id.y * 4u + r) * ${N / 4}u + group.x * 16u + id.x] = sums[r];
  }
}`;

/** GFLOP/s of a 1024 x 384 x 1536 product in f32: the best of three. */
export async function matmulSpeed(adapter: GPUAdapter, software: boolean): Promise<number> {
  const device = await adapter.requestDevice();
  const make = (values: number) => {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return device.createBuffer({ size: values * 4, usage });
  };
  const [a, b, c] = [make(M * K), make(K * N), make(M * N)];
  const valuesA = Float32Array.from({ length: M * K }, (_, i) => ((i * 7919) % 13) - 6);
  const valuesB = Float32Array.from({ length: K * N }, (_, i) => ((i * 104729) % 11) - 5);
  device.queue.writeBuffer(a, 0, valuesA);
  device.queue.writeBuffer(b, 0, valuesB);
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: software ? BARRIER_FREE : TILED }) },
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [a, b, c].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const repeats = software ? 1 : 50;
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < repeats; i++) {
      if (software) pass.dispatchWorkgroups(N / 4 / 8, M / 4 / 8);
      else pass.dispatchWorkgroups(N / 64, M / 64);
    }
    pass.end();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    // The first round also readies the pipeline.
    if (round > 0) best = Math.min(best, performance.now() - start);
  }
  await verify(device, c, valuesA, valuesB);
  device.destroy();
  return (2 * M * K * N * repeats) / best / 1e6;
}

/** A speed counts only if the product is right: looks at every 997th value. */
async function verify(device: GPUDevice, c: GPUBuffer, a: Float32Array, b: Float32Array): Promise<void> {
  const copy = device.createBuffer({
    size: c.size,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(c, 0, copy, 0, c.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(copy.getMappedRange());
  for (let i = 0; i < values.length; i += 997) {
    const [row, column] = [Math.floor(i / N), i % N];
    let wanted = 0;
    for (let k = 0; k < K; k++) wanted += (a[row * K + k] ?? 0) * (b[k * N + column] ?? 0);
    if (values[i] !== wanted)
      throw new Error(`the yardstick's product is wrong at ${i}: ${values[i]}, not ${wanted}`);
  }
}
