import { Sam2Error } from "./errors.js";
import type { Device } from "./types.js";

/** The builds to try, in this order. */
export async function chooseDevices(device: Device): Promise<("webgpu" | "cpu")[]> {
  switch (device) {
    case "cpu":
      return ["cpu"];
    case "webgpu":
      if (!(await requestAdapter())) {
        throw new Sam2Error(
          "DEVICE_UNAVAILABLE",
          'WebGPU is not available here (it needs https and a browser and driver that support it). Use device "cpu" or "auto".',
        );
      }
      return ["webgpu"];
    case "auto": {
      const adapter = await requestAdapter();
      return adapter && !isSoftware(adapter) ? ["webgpu", "cpu"] : ["cpu"];
    }
    default:
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `device must be "auto", "webgpu" or "cpu", not "${String(device)}".`,
      );
  }
}

/** A module that only compiles where there is SIMD: a function that makes a vector. */
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98,
  11,
];

/** Whether this browser has what a device needs. */
export async function isSupported(device: Device): Promise<boolean> {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(Uint8Array.from(SIMD))) return false;
  return device !== "webgpu" || (await requestAdapter()) !== null;
}

// Only the few fields read here, since not every TypeScript's DOM library knows WebGPU.
interface Adapter {
  isFallbackAdapter?: boolean;
  info?: { isFallbackAdapter?: boolean; architecture?: string; description?: string };
}

async function requestAdapter(): Promise<Adapter | null> {
  // (There is no navigator in some workers' hosts, nor in older Nodes.)
  const gpu = (
    globalThis.navigator as { gpu?: { requestAdapter(options: object): Promise<Adapter | null> } } | undefined
  )?.gpu;
  return (await gpu?.requestAdapter({ powerPreference: "high-performance" }).catch(() => null)) ?? null;
}

/** A WebGPU emulated on the CPU is far slower than the CPU build. */
function isSoftware({ isFallbackAdapter, info }: Adapter): boolean {
  if (isFallbackAdapter || info?.isFallbackAdapter) return true;
  return /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${info?.architecture} ${info?.description}`);
}
