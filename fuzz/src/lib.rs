//! What each fuzz target does with an input: a function of bytes that returns, or panics where a promise is broken.
//!
//! Inputs are texts where that is possible, so that seeds and findings can be read: the module of each target says how.

#![forbid(unsafe_code)]

pub mod amqp;
pub mod config;
pub mod event;
pub mod frames;
pub mod headers;
mod page;
mod service;
pub mod ticket;

use std::sync::{LazyLock, Once};

use payment_notifier::config::{Settings, load_from};

/// For fuzzing only. No answer may ever show it.
const SECRET: &str = "fuzz-only-secret-of-more-than-32-bytes";

/// The defaults, with [`SECRET`] for tickets.
static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let secret = ("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET".to_owned(), SECRET.to_owned());
    load_from(None, vec![secret]).expect("the defaults can be used")
});

/// Ends the program at the first panic, also at one of a task that the program would outlive.
pub fn abort_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            std::process::abort();
        }));
    });
}

/// Makes a function of bytes the target of a binary.
#[macro_export]
macro_rules! target {
    ($check:path) => {
        /// Called by libFuzzer for each input.
        ///
        /// # Safety
        /// `data` must point to `size` bytes that nobody changes during the call.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> std::ffi::c_int {
            // SAFETY: libFuzzer promises it, and gives a pointer that may be null where there is nothing.
            let bytes = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
            $crate::abort_on_panic();
            $check(bytes);
            0
        }
    };
}
