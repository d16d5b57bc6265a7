//! Nchan in Debian's nginx: the publisher posts straight to it, no broker, no store, no tickets.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::hub::free_address;
use super::{Child, Rig, Running, Vhost};
use crate::dialect::Nchan;
use crate::engine::Place;
use crate::publish::{Http, Publisher};

const READY_WITHIN: Duration = Duration::from_secs(30);
const WORKERS: usize = 2;

/// `worker_connections` is what one process may have open here; the rest is as a user would set it.
const CONFIG: &str = "
load_module modules/ngx_nchan_module.so;
worker_processes WORKERS;
worker_rlimit_nofile 20000;
daemon off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 19900; }
http {
  access_log off;
  keepalive_requests 1000000;
  nchan_shared_memory_size 512m;
  server {
    listen ADDRESS backlog=4096;
    location = /sub {
      nchan_subscriber websocket;
      nchan_channel_id $arg_id;
      nchan_message_timeout 60s;
    }
    location = /pub {
      nchan_publisher http;
      nchan_channel_id $arg_id;
      nchan_message_timeout 60s;
    }
  }
}
";

pub(super) fn start(rig: &Rig, vhost: Vhost) -> Running {
    let folder = rig.folder.join("nginx");
    std::fs::create_dir_all(folder.join("logs")).unwrap();
    // Debian's compiled-in folder of modules is relative to the prefix.
    let modules = folder.join("modules");
    if !modules.exists() {
        std::os::unix::fs::symlink("/usr/lib/nginx/modules", &modules).unwrap();
    }
    let address = free_address();
    let config = CONFIG.replace("ADDRESS", &address.to_string()).replace("WORKERS", &WORKERS.to_string());
    std::fs::write(folder.join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "stderr"]);
    let child = Child::start_at_once(command, &rig.folder.join("nginx.log")).with_children();
    let began = Instant::now();
    let workers = loop {
        let workers = children(child.pid());
        if workers.len() >= WORKERS && TcpStream::connect(address).is_ok() {
            break workers;
        }
        assert!(
            began.elapsed() < READY_WITHIN,
            "nginx does not answer: see {}",
            rig.folder.join("nginx.log").display()
        );
        std::thread::sleep(Duration::from_millis(10));
    };
    Running {
        pids: std::iter::once(child.pid()).chain(workers).collect(),
        place: Some(Place { addresses: vec![address], dialect: Box::new(Nchan), tls: None }),
        arrivals: None,
        publisher: Some(Publisher::Http(Http::connect(address))),
        vhost,
        children: vec![child],
        database: None,
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
