//! A program that runs beside the test, and what it writes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::wait_for;

/// A child that does not outlive this value, and what it writes.
pub(crate) struct Process {
    child: Child,
    logs: Logs,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be run");
        let logs = Logs::default();
        logs.collect(child.stdout.take().expect("piped"));
        logs.collect(child.stderr.take().expect("piped"));
        Self { child, logs }
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill9(&mut self) {
        self.child.kill().expect("it runs");
        self.wait().await;
    }

    /// Waits for the end.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let ended = wait_for("the program ends", async || child.try_wait().expect("a child can be asked")).await;
        // Its last lines are still on their way through the pipes.
        let logs = &self.logs;
        wait_for("the program's output ends", async || (logs.pipes.load(Ordering::Acquire) == 0).then_some(())).await;
        ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lines, as they come.
#[derive(Clone, Default)]
pub(crate) struct Logs {
    lines: Arc<Mutex<Vec<String>>>,
    /// How many are still read.
    pipes: Arc<AtomicUsize>,
}

impl Logs {
    fn collect(&self, pipe: impl Read + Send + 'static) {
        let Self { lines, pipes } = self.clone();
        pipes.fetch_add(1, Ordering::AcqRel);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                lines.lock().expect("no panic while locked").push(String::from_utf8_lossy(&line).into_owned());
            }
            pipes.fetch_sub(1, Ordering::AcqRel);
        });
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic while locked").clone()
    }

    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Each line of a level above `info`.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_complaint = |line: &Value| line["level"] == "WARN" || line["level"] == "ERROR";
        self.json().iter().filter(|line| is_complaint(line)).map(Value::to_string).collect()
    }

    /// Each line that is a JSON object.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
