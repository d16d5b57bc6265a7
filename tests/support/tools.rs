//! Programs of other languages: what merchants publish with, and what judges our documents.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::repository;

/// Python with what tests/clients/requirements.txt lists.
pub(crate) fn python() -> PathBuf {
    installed(&repository().join(".run/venv/bin/python"))
}

/// Schemathesis, by the same list.
pub(crate) fn schemathesis() -> PathBuf {
    installed(&repository().join(".run/venv/bin/schemathesis"))
}

/// A script of tests/clients/node, whose packages are installed beside it.
pub(crate) fn node_script(name: &str) -> Command {
    let folder = repository().join("tests/clients/node");
    installed(&folder.join("node_modules"));
    installed(&repository().join("examples/publishers/node/node_modules"));
    let mut command = Command::new("node");
    command.arg(folder.join(name)).current_dir(repository());
    command
}

/// The folder of the tests that run in Chromium.
pub(crate) fn browser_tests() -> PathBuf {
    let folder = repository().join("tests/browser");
    installed(&folder.join("node_modules"));
    folder
}

/// Runs it to its end, with `input` given on its standard input; its output, or its failure as the test's.
pub(crate) async fn run(command: Command, input: String) -> String {
    let what = format!("{command:?}");
    let (status, out, err) = end_of(command, input).await;
    assert!(status.success(), "{what} ended with {status}:\n{out}\n{err}");
    out
}

/// Runs it to its end; how it ended, what it said on standard output, and on standard error.
pub(crate) async fn end_of(mut command: Command, input: String) -> (ExitStatus, String, String) {
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} cannot be run: {e}"));
        let mut stdin = child.stdin.take().expect("piped");
        let written = std::io::Write::write_all(&mut stdin, input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(written.is_ok() || !output.status.success(), "{command:?} did not read its input");
        (output.status, out, err)
    });
    run.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}

pub(crate) fn installed(path: &Path) -> PathBuf {
    assert!(path.exists(), "{} is missing: `make test` installs it", path.display());
    path.to_owned()
}
