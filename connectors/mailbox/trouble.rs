//! What goes wrong between us and a mail server, and what is to be done about it.
//!
//! Servers tell why they refuse in free text. The class decides whether the gateway tries again by itself or calls for an
//! admin, so a passing fault must never look like a wrong password: a connector that stopped over night loses a day.

use crate::fault::{Fault, FaultClass};

/// Characters kept of what a server says.
const SAID_CHARS: usize = 200;

/// How an exchange with the IMAP server failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The command was refused.
    #[error("the mail server refused: {0}")]
    No(String),
    /// The command was not understood.
    #[error("the mail server did not understand: {0}")]
    Bad(String),
    /// The server said goodbye.
    #[error("the mail server closed the connection: {0}")]
    Bye(String),
    /// The connection ended.
    #[error("the connection to the mail server was lost")]
    Lost,
    /// No answer in time.
    #[error("the mail server did not answer within {0} s")]
    Silent(u64),
    /// The answer is not IMAP.
    #[error("the mail server's answer is not IMAP")]
    Garbled,
    /// The answer is longer than anything we asked for.
    #[error("the mail server's answer is longer than {0} bytes")]
    Endless(usize),
}

impl Trouble {
    /// Whether the connection may be used further. After anything else its state is unknown.
    pub(super) fn leaves_link_usable(&self) -> bool {
        matches!(self, Self::No(_) | Self::Bad(_))
    }

    /// What to do where reading failed.
    pub(super) fn while_reading(self) -> Fault {
        match &self {
            Self::Bad(_) => Fault::permanent(self.to_string())
                .remedy("the server may not speak IMAP4rev1; try another server or report the text"),
            Self::Garbled => {
                Fault::permanent(self.to_string()).remedy("check that the port is that of the IMAP service")
            }
            Self::Endless(_) => Fault::permanent(self.to_string()).remedy("raise page_bytes, or ask for smaller pages"),
            Self::No(said) if asks_for_identity(said) => refused_identity(&self),
            Self::No(_) | Self::Bye(_) | Self::Lost | Self::Silent(_) => Fault::transient(self.to_string()),
        }
    }

    /// What to do where the server does not take an access token.
    pub(super) fn while_showing_a_token(self) -> Fault {
        match &self {
            Self::No(said) if login_class(said) == FaultClass::Authentication => {
                Fault::authentication(format!("the mail server does not take the access token: {said}"))
                    .remedy("check user and oauth.scope, and that the account may use IMAP with OAuth; a new token is asked for at the next attempt")
            }
            Self::Bad(said) => Fault::configuration(format!("the mail server knows no XOAUTH2: {said}"))
                .remedy("set password instead of oauth, or another server"),
            _ => self.while_logging_in(),
        }
    }

    /// What to do where logging in failed.
    pub(super) fn while_logging_in(self) -> Fault {
        match &self {
            Self::No(said) => match login_class(said) {
                FaultClass::Authentication => Fault::authentication(format!(
                    "the mail server does not let us in: {said}"
                ))
                .remedy(
                    "check user and password; at 163, 126, yeah, qq and aliyun boxes switch IMAP on in the web mail's \
                         settings and use the authorisation code (授权码) that it shows there instead of the password",
                ),
                _ => Fault::transient(format!("the mail server does not let us in now: {said}")),
            },
            _ => self.while_reading(),
        }
    }
}

/// The class of a refusal to log in (RFC 5530 response codes, and the words of servers that send none).
pub(super) fn login_class(said: &str) -> FaultClass {
    let said = said.to_lowercase();
    // Told as a code, it is meant; several providers answer a wrong password with a sentence that names every cause.
    if ["[authenticationfailed]", "[authorizationfailed]", "[expired]", "[privacyrequired]"]
        .iter()
        .any(|code| said.contains(code))
    {
        return FaultClass::Authentication;
    }
    let passing =
        ["[unavailable]", "[inuse]", "[limit]", "[serverbug]", "temporar", "try again later", "too many", "稍后"];
    if passing.iter().any(|words| said.contains(words)) {
        return FaultClass::Transient;
    }
    FaultClass::Authentication
}

/// Whether a refusal means that the folder does not exist.
pub(super) fn is_missing_folder(said: &str) -> bool {
    let said = said.to_lowercase();
    [
        "[nonexistent]",
        "[trycreate]",
        "doesn't exist",
        "does not exist",
        "not exist",
        "not found",
        "no such",
        "unknown mailbox",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// Whether a refusal is that of the 163 family to clients that have not said who they are (RFC 2971).
pub(super) fn asks_for_identity(said: &str) -> bool {
    said.to_lowercase().contains("unsafe login")
}

fn refused_identity(trouble: &Trouble) -> Fault {
    Fault::authentication(trouble.to_string()).remedy(
        "the provider counts this client as unsafe although it said who it is: open the web mail, allow IMAP clients, and \
         use the authorisation code (授权码)",
    )
}

/// What a server said, fit to be told: one line, bounded.
pub(super) fn said(text: &str) -> String {
    let line: String = text.chars().map(|one| if one.is_control() { ' ' } else { one }).take(SAID_CHARS).collect();
    let line = line.trim();
    if line.is_empty() { "(no reason given)".to_owned() } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_is_classed_by_what_the_server_means() {
        use FaultClass::{Authentication, Transient};
        let cases = [
            ("[AUTHENTICATIONFAILED] Authentication failed.", Authentication),
            ("[AUTHENTICATIONFAILED] Too many wrong passwords", Authentication),
            ("[AUTHORIZATIONFAILED] no such authorization-ID", Authentication),
            ("[EXPIRED] That password isn't valid any more", Authentication),
            ("LOGIN Login error or password error", Authentication),
            ("LOGIN Login error password error", Authentication),
            (
                "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or \
                 system is busy. More information at https://help.mail.qq.com/detail/0/1010",
                Authentication,
            ),
            ("[ALERT] Please log in via your web browser", Authentication),
            ("(no reason given)", Authentication),
            ("[UNAVAILABLE] Temporary authentication failure.", Transient),
            ("[UNAVAILABLE] User's backend down for maintenance", Transient),
            ("[INUSE] Mailbox in use", Transient),
            ("[LIMIT] Connection limit", Transient),
            ("[SERVERBUG] Internal error occurred. Refer to server log", Transient),
            ("[ALERT] Too many simultaneous connections. (Failure)", Transient),
            ("System temporarily unavailable", Transient),
            ("服务器繁忙，请稍后再试", Transient),
        ];
        for (text, class) in cases {
            assert_eq!(login_class(text), class, "{text}");
            assert_eq!(Trouble::No(text.to_owned()).while_logging_in().class, class, "{text}");
        }
    }

    #[test]
    fn a_wrong_password_is_told_with_the_authorisation_code_of_the_163_family() {
        let fault = Trouble::No("LOGIN Login error password error".to_owned()).while_logging_in();
        assert!(fault.remedy.is_some_and(|remedy| remedy.contains("授权码")));
    }

    #[test]
    fn trouble_while_reading_is_classed_by_what_helps() {
        use FaultClass::{Authentication, Permanent, Transient};
        let cases = [
            (Trouble::Lost, Transient),
            (Trouble::Silent(30), Transient),
            (Trouble::Bye("Autologout; idle for too long".to_owned()), Transient),
            (Trouble::No("[SERVERBUG] Internal error".to_owned()), Transient),
            (Trouble::No("EXAMINE Unsafe Login. Please contact kefu@188.com for help".to_owned()), Authentication),
            (Trouble::Bad("Unknown command".to_owned()), Permanent),
            (Trouble::Garbled, Permanent),
            (Trouble::Endless(1), Permanent),
        ];
        for (trouble, class) in cases {
            assert_eq!(trouble.clone().while_reading().class, class, "{trouble:?}");
        }
    }

    #[test]
    fn a_missing_folder_is_told_from_other_refusals() {
        for text in
            ["[NONEXISTENT] Mailbox doesn't exist: x", "[TRYCREATE] no", "Folder not exist", "SELECT no such mailbox"]
        {
            assert!(is_missing_folder(text), "{text}");
        }
        assert!(!is_missing_folder("[SERVERBUG] Internal error"));
    }

    #[test]
    fn what_a_server_says_is_told_on_one_bounded_line() {
        assert_eq!(said("a\r\nb"), "a  b");
        assert_eq!(said(" \u{7} "), "(no reason given)");
        assert_eq!(said(&"很".repeat(5000)).chars().count(), SAID_CHARS);
    }
}
