//! A program that runs beside, and the line by which it says that it is there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Ends when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    has_children: bool,
}

impl Child {
    /// Starts it with its output in `log` and waits until `ready` finds what it looks for in a line of it.
    pub(crate) fn start<T>(command: Command, log: &std::path::Path, ready: impl Fn(&str) -> Option<T>) -> (Self, T) {
        let program = command.get_program().to_owned();
        let mut child = Self::start_at_once(command, log);
        let began = Instant::now();
        loop {
            let lines = BufReader::new(std::fs::File::open(log).unwrap()).lines().map_while(Result::ok);
            if let Some(found) = lines.filter_map(|line| ready(&line)).next() {
                return (child, found);
            }
            let ended = child.process.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < READY_WITHIN,
                "{:?} is not ready: {ended:?}\n{}",
                program,
                std::fs::read_to_string(log).unwrap()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it with its output in `log`.
    pub(crate) fn start_at_once(mut command: Command, log: &std::path::Path) -> Self {
        let out = std::fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        // Not the whole command in the error: its environment holds a password.
        let process = command.spawn().unwrap_or_else(|e| panic!("{:?} cannot be run: {e}", command.get_program()));
        Self { process, has_children: false }
    }

    /// It has children, which it has to end itself: it is asked to (SIGTERM) instead of being killed.
    pub(crate) fn with_children(mut self) -> Self {
        self.has_children = true;
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.has_children {
            let asked = Instant::now();
            let pid = rustix::process::Pid::from_child(&self.process);
            let is_asked = rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok();
            while is_asked && matches!(self.process.try_wait(), Ok(None)) && asked.elapsed() < ENDS_WITHIN {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
