//! For browsers, compiles the kernel a second time, to a module of its own with relaxed SIMD.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=src/kernel.rs");
    println!("cargo::rerun-if-changed=src/relaxed.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("wasm32") {
        return;
    }
    let variable = |name| env::var(name).expect("cargo sets it");
    let out = PathBuf::from(variable("OUT_DIR")).join("relaxed.wasm");
    let status = Command::new(variable("RUSTC"))
        .args(["--edition=2024", "--crate-type=cdylib", "--target"])
        .arg(variable("TARGET"))
        .args(["-Copt-level=3", "-Cpanic=abort", "-Cstrip=symbols"])
        // In the order in which they are written, a turn's loads and products need fifteen registers; in LLVM's own order
        // they need twenty, which Chromium 156 takes half as long again for.
        .arg("-Cllvm-args=-pre-RA-sched=source")
        .args([
            "-Ctarget-feature=+simd128,+relaxed-simd",
            "-Clink-arg=--import-memory",
        ])
        // The memory is another module's, where this one has no place of its own: a stack of no size, were it ever used,
        // would be the end of the address space, which fails at once.
        .arg("-Clink-arg=-zstack-size=0")
        .args(["-o".as_ref(), out.as_os_str()])
        .arg("src/relaxed.rs")
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the compiler did not make the module with relaxed SIMD"
    );
}
