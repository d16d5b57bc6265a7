//! The programs of examples/publishers and examples/tickets, as their READMEs say to run them, those that are compiled
//! compiled once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::{repository, tools};

pub(crate) const LANGUAGES: [&str; 6] = ["python", "node", "rust", "go", "php", "java"];

/// What Go's and Java's compilers made.
static COMPILED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for (kind, name) in [("publishers", "publish"), ("tickets", "ticket")] {
        compile(go().arg("build").arg("-o").arg(folder.join(format!("go-{name}"))).arg(source(kind, "go", name)));
    }
    let java = [source("publishers", "java", "Publish"), source("tickets", "java", "Ticket")];
    compile(Command::new("javac").args(["-cp", &jars(), "-d"]).arg(&folder).args(java));
    folder
});

/// Compiles what has to be; what a page waits for should not wait for that.
pub(crate) fn prepare() {
    LazyLock::force(&COMPILED);
}

pub(crate) fn publisher(language: &str) -> Command {
    match language {
        "python" => interpreted(&tools::python(), &source("publishers", "python", "publish")),
        "node" => {
            let script = source("publishers", "node", "publish");
            tools::installed(&script.with_file_name("node_modules"));
            interpreted(Path::new("node"), &script)
        }
        "php" => interpreted(Path::new("php"), &source("publishers", "php", "publish")),
        "java" => class("Publish"),
        other => compiled(other, "publish"),
    }
}

pub(crate) fn ticket_mint(language: &str) -> Command {
    match language {
        "python" => interpreted(&tools::python(), &source("tickets", "python", "ticket")),
        "node" => interpreted(Path::new("node"), &source("tickets", "node", "ticket")),
        "php" => interpreted(Path::new("php"), &source("tickets", "php", "ticket")),
        "java" => class("Ticket"),
        other => compiled(other, "ticket"),
    }
}

fn source(kind: &str, language: &str, name: &str) -> PathBuf {
    let ending = match language {
        "python" => "py",
        "node" if kind == "tickets" => "mjs",
        "node" => "js",
        other => other,
    };
    repository().join("examples").join(kind).join(language).join(format!("{name}.{ending}"))
}

fn interpreted(interpreter: &Path, script: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(script);
    command
}

fn compiled(language: &str, name: &str) -> Command {
    match language {
        "go" => Command::new(COMPILED.join(format!("go-{name}"))),
        "rust" => {
            // `cargo test` builds it beside the program; `cargo test --test system` alone does not.
            let program = Path::new(env!("CARGO_BIN_EXE_payment-notifier")).with_file_name("examples").join(name);
            assert!(program.exists(), "{} is missing: `cargo build --examples` makes it", program.display());
            Command::new(program)
        }
        other => panic!("no example in {other}"),
    }
}

fn class(name: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-cp", &format!("{}:{}", jars(), COMPILED.display()), name]);
    command
}

/// Of Debian's librabbitmq-client-java, which brings the other two.
fn jars() -> String {
    ["amqp-client", "slf4j-api", "slf4j-nop"].map(|jar| format!("/usr/share/java/{jar}.jar")).join(":")
}

/// Debian's Go packages are a GOPATH.
fn go() -> Command {
    let mut command = Command::new("go");
    command.envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")]);
    command.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
    command
}

fn compile(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?} cannot be run (make test installs it): {e}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}
