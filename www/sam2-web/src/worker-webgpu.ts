import { serve } from "./serve.js";
import { wasm } from "./wasm-webgpu.js";

serve(wasm);
