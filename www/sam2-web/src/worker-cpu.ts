import { serve } from "./serve.js";
import { wasm } from "./wasm-cpu.js";

serve(wasm);
