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
