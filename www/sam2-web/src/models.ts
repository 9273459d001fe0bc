import type { ModelName } from "./types.js";

/** Put in when the package is built: of the file that is built into it. */
declare const NANO_SHA256: string;

/** A model's file, at one version for good. */
export interface NamedModel {
  url: string;
  /** In hexadecimal. */
  sha256: string;
}

/** Hugging Face's copy at a commit: what a branch points at may change. */
const official = (name: string, revision: string, sha256: string): NamedModel => ({
  url: `https://huggingface.co/facebook/sam2.1-hiera-${name}/resolve/${revision}/model.safetensors`,
  sha256,
});

export const MODELS: Readonly<Record<ModelName, NamedModel>> = {
  nano: { url: new URL("../weights/nano.safetensors", import.meta.url).href, sha256: NANO_SHA256 },
  tiny: official(
    "tiny",
    "de431c4043854a71d8101e17995dfe596bf101a5",
    "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
  ),
  small: official(
    "small",
    "ee5bba1d82bb8749febdf90f45e84b687142ba03",
    "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
  ),
  "base-plus": official(
    "base-plus",
    "b7320756a13354e7530a63935656d35b2f91a290",
    "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780",
  ),
  large: official(
    "large",
    "665f8e2ad61cf5f53d65644ff27c8ee525124610",
    "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
  ),
};
