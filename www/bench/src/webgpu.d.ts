// TypeScript's DOM library has WebGPU's interfaces, but not yet its constants.
declare const GPUBufferUsage: Record<"MAP_READ" | "COPY_SRC" | "COPY_DST" | "STORAGE", number>;
declare const GPUMapMode: Record<"READ" | "WRITE", number>;
