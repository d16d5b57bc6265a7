//! Links libFuzzer's runtime, which holds `main`. It is a system tool of the compiler (Debian: libclang-rt-dev), not a
//! crate: see README.md.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBFUZZER");
    println!("cargo::rerun-if-changed=build.rs");
    let runtime = std::env::var_os("LIBFUZZER").map(PathBuf::from).or_else(installed);
    let Some(runtime) = runtime else {
        println!("cargo::error=libFuzzer's runtime is missing: apt-get install libclang-rt-dev, or set LIBFUZZER");
        return;
    };
    println!("cargo::rustc-link-arg-bins={}", runtime.display());
    println!("cargo::rustc-link-arg-bins=-lstdc++");
}

/// The newest of those that Debian's packages bring.
fn installed() -> Option<PathBuf> {
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").ok()?;
    let mut found = Vec::new();
    for llvm in std::fs::read_dir("/usr/lib").ok()?.flatten() {
        let Some(version) = llvm.file_name().to_str().and_then(|name| name.strip_prefix("llvm-")?.parse::<u32>().ok())
        else {
            continue;
        };
        for clang in std::fs::read_dir(llvm.path().join("lib/clang")).into_iter().flatten().flatten() {
            let file = clang.path().join(format!("lib/linux/libclang_rt.fuzzer-{architecture}.a"));
            if file.is_file() {
                found.push((version, file));
            }
        }
    }
    found.into_iter().max().map(|(_version, file)| file)
}
