//! Files that are looked at again and again: certificates, key sets.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// More than any certificate chain or key set has.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Some files that mean something together, and what they held when they were last looked at.
///
/// They are compared by content: what an orchestrator mounts changes by a link, and a clock may stand still.
#[derive(Debug)]
pub struct WatchedFiles {
    paths: Vec<PathBuf>,
    seen: [u8; 32],
}

/// What the files hold, in their order, or one line that says which cannot be read.
pub type Contents = Result<Vec<Vec<u8>>, String>;

impl WatchedFiles {
    /// Reads them for the first time. Blocks for as long as the disk takes.
    pub fn open(paths: Vec<PathBuf>) -> (Self, Contents) {
        let contents = read(&paths);
        let seen = digest(&contents);
        (Self { paths, seen }, contents)
    }

    /// What they hold, if it is another than at the last look. A failure to read is answered once, too.
    pub async fn changed(&mut self) -> Option<Contents> {
        let paths = self.paths.clone();
        let reading = tokio::task::spawn_blocking(move || read(&paths));
        let contents = reading.await.unwrap_or_else(|_panicked| Err("reading failed".to_owned()));
        let digest = digest(&contents);
        (digest != self.seen).then(|| {
            self.seen = digest;
            contents
        })
    }
}

fn read(paths: &[PathBuf]) -> Contents {
    paths
        .iter()
        .map(|path| read_one(path).map_err(|error| format!("cannot read {}: {error}", path.display())))
        .collect()
}

fn read_one(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

fn digest(contents: &Contents) -> [u8; 32] {
    let mut digest = Sha256::new();
    match contents {
        Ok(files) => {
            for file in files {
                digest.update(Sha256::digest(file));
            }
        }
        Err(error) => digest.update(error),
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_answered_once_and_so_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let paths = vec![folder.path().join("a"), folder.path().join("b")];
        std::fs::write(&paths[0], "1").unwrap();
        std::fs::write(&paths[1], "2").unwrap();
        let (mut files, contents) = WatchedFiles::open(paths.clone());
        assert_eq!(contents.unwrap(), [b"1", b"2"]);
        assert!(files.changed().await.is_none());
        std::fs::write(&paths[0], "12").unwrap();
        assert_eq!(files.changed().await.unwrap().unwrap(), [b"12".to_vec(), b"2".to_vec()]);
        assert!(files.changed().await.is_none());
        std::fs::remove_file(&paths[1]).unwrap();
        assert!(files.changed().await.unwrap().unwrap_err().contains("/b"));
        assert!(files.changed().await.is_none());
        std::fs::write(&paths[1], "2").unwrap();
        assert!(files.changed().await.unwrap().is_ok());
    }
}
