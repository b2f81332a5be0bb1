//! Gives the crate a digest of its own sources: a state that one build wrote down means the same to that build only.

#[allow(dead_code)] // the crate uses the rest
#[path = "src/digest.rs"]
mod digest;

use std::path::{Path, PathBuf};
use std::{fs, io};

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files)?;
    files.sort();
    let mut digest = digest::Digest::default();
    for file in files {
        digest.bytes(file.to_string_lossy().as_bytes()).bytes(&fs::read(&file)?);
    }
    println!("cargo::rustc-env=EXCHANGE_CORE_SOURCES={:032x}", digest.finish());
    println!("cargo::rerun-if-changed=src");
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
