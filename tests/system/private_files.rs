//! What the service writes is for its owner alone, whatever the umask of whoever starts it; what was there is left as it is.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Publisher, Service, Setup, event, ticket};

/// The start of a program by a shell with that umask.
fn with_umask(setup: Setup, umask: &str) -> Setup {
    setup.wrapped_by(&["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"])
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// All that is in the folder, and below it, by its path in it.
fn all_below(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name().into_string().unwrap())).unwrap();
        found.push((name.clone(), mode(&path)));
        if path.is_dir() {
            found.extend(all_below(&path).into_iter().map(|(below, mode)| (format!("{name}/{below}"), mode)));
        }
    }
    found.sort();
    found
}

async fn store_something(service: &Service) {
    Publisher::connect(service.vhost()).await.publish(&event("private-1", "succeeded")).await;
    service.payment_with_status("private-1", &ticket("private-1"), "succeeded").await;
}

fn warnings(service: &Service) -> Vec<String> {
    let complaints = service.logs().complaints();
    complaints.into_iter().filter(|line| line.contains("users other than the owner")).collect()
}

#[tokio::test]
async fn a_database_made_anew_is_for_its_owner_alone_whatever_the_umask() {
    for umask in ["000", "022", "077", "777"] {
        let setup = with_umask(Setup::new().await, umask);
        // By a relative path, in a folder that is there and is not ours.
        let there = setup.folder().join("there");
        std::fs::create_dir(&there).unwrap();
        set_mode(&there, 0o755);
        let mut service = setup.set("STORE__URL", "sqlite://there/made/too/payments.db").start().await;
        store_something(&service).await;
        let file = |name: &str| (format!("made/too/{name}"), 0o600);
        let [database, log, index, lock] =
            ["payments.db", "payments.db-wal", "payments.db-shm", "payments.db.lock"].map(file);
        let mut expected = vec![("made".to_owned(), 0o700), ("made/too".to_owned(), 0o700), database, log, index, lock];
        expected.sort();
        assert_eq!(all_below(&there), expected, "umask {umask}");
        assert_eq!(mode(&there), 0o755);
        assert_eq!(warnings(&service), [""; 0]);

        service.kill9().await;
        service.start_again().await;
        assert_eq!(all_below(&there), expected, "umask {umask}");
        assert_eq!(warnings(&service), [""; 0]);
    }
}

#[tokio::test]
async fn what_others_may_use_already_is_named_once_and_left_as_it_is() {
    let mut service = Setup::new().await.start().await;
    store_something(&service).await;
    service.terminate();
    assert!(service.wait_end().await.success());
    let (folder, database) = (service.setup.folder().join("data"), service.database());
    set_mode(&folder, 0o750);
    set_mode(&database, 0o644);
    service.start_again().await;
    store_something(&service).await;
    let lines = warnings(&service);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (path, mode) in [(&folder, "750"), (&database, "644")] {
        let path = format!("{}\"", path.display());
        assert!(lines.iter().any(|line| line.contains(&path) && line.contains(mode)), "{lines:?}");
    }
    assert_eq!((mode(&folder), mode(&database)), (0o750, 0o644));
}
