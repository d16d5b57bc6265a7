//! Ends of a socket by the service. Mini-programs lose or invent close codes, so an error frame always goes first.

use tungstenite::protocol::CloseFrame;

/// Why the service closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// A frame that cannot be understood.
    BadRequest,
    /// No subscription is left, for want of a good ticket.
    Ticket,
    /// Nothing came for `http.silent_s`, or nothing was subscribed for that long.
    Silent,
    /// A frame over `http.frame_bytes_max`.
    TooLarge,
    /// More frames, or more sockets of one ticket, than is allowed.
    TooMany,
    /// The node stops.
    Draining,
}

impl Close {
    fn code(self) -> u16 {
        match self {
            Self::BadRequest => 4400,
            Self::Ticket => 4401,
            Self::Silent => 4408,
            Self::TooLarge => 4413,
            Self::TooMany => 4429,
            Self::Draining => 1012,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "bad request",
            Self::Ticket => "ticket",
            Self::Silent => "silent",
            Self::TooLarge => "frame too large",
            Self::TooMany => "too many",
            Self::Draining => "draining",
        }
    }
}

impl Close {
    /// The frame that says so.
    pub(super) fn frame(self) -> CloseFrame {
        CloseFrame { code: self.code().into(), reason: self.reason().into() }
    }
}

/// How a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The socket broke: nothing more can be sent.
    Gone,
    /// The page closes: its close frame has its answer.
    Left,
    /// The service closes, after the frames that say why.
    Close(Close),
}
