//! Answers to the petitioner over SMTP, marked so that no machine answers them (RFC 3834).

use std::{
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        PoolConfig,
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, Tls as SmtpTls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::{
    Smtp, Tls,
    oauth::Tokens,
    wire::{cause_in_tls, certificate_fault},
};
use crate::{
    clock::Clock,
    contract::{Answer, Reply, Toolbox},
    fault::{Fault, FaultClass},
    http::Pace,
};

/// Time for one command.
const COMMAND: Duration = Duration::from_mins(1);
/// Connections kept.
const CONNECTIONS: u32 = 2;
/// Messages named in References, the nearest ones (RFC 5322 section 3.6.4 sets no bound).
const REFERENCES: usize = 20;
/// Characters of a message id; a longer one would not fit a line (RFC 5322 section 2.1.1).
const ID_CHARS: usize = 250;
/// Characters of a subject.
const SUBJECT_CHARS: usize = 200;

/// Sends answers.
pub(super) struct Sender {
    server: Server,
    from: Mailbox,
    clock: Arc<dyn Clock>,
    pace: Arc<dyn Pace>,
    /// Made by the first answer, because the library's pool wants to be made where it runs; and again for another token.
    transport: Mutex<Option<(SecretString, Transport)>>,
}

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// By what the server lets us in.
enum Pass {
    Nobody,
    Password(String, SecretString),
    /// SASL XOAUTH2.
    Tokens(String, Arc<Tokens>),
}

struct Server {
    host: String,
    port: u16,
    tls: SmtpTls,
    pass: Pass,
}

impl Sender {
    /// Connects to nothing yet.
    pub(super) fn new(
        smtp: &Smtp,
        ca_file: Option<&Path>,
        tokens: Option<Arc<Tokens>>,
        tools: &Toolbox,
    ) -> Result<Self, Fault> {
        let address: Address = smtp.from.parse().map_err(|_| {
            Fault::configuration("the address that answers are sent from is not an address").remedy("correct smtp.from")
        })?;
        let default_port = match smtp.tls {
            Tls::Implicit => 465,
            Tls::Starttls => 587,
            Tls::None => 25,
        };
        let tls = match smtp.tls {
            Tls::Implicit => SmtpTls::Wrapper(parameters(&smtp.host, ca_file)?),
            Tls::Starttls => SmtpTls::Required(parameters(&smtp.host, ca_file)?),
            Tls::None => SmtpTls::None,
        };
        let pass = match (&smtp.user, &smtp.password, tokens) {
            (Some(user), Some(password), _) => Pass::Password(user.clone(), password.reveal()?),
            (Some(user), None, Some(tokens)) => Pass::Tokens(user.clone(), tokens),
            _ => Pass::Nobody,
        };
        Ok(Self {
            server: Server { host: smtp.host.clone(), port: smtp.port.unwrap_or(default_port), tls, pass },
            from: Mailbox::new(Some(smtp.from_name.clone()).filter(|name| !name.trim().is_empty()), address),
            clock: Arc::clone(&tools.clock),
            pace: Arc::clone(&tools.pace),
            transport: Mutex::new(None),
        })
    }

    fn message(&self, reply: &Reply) -> Result<Message, Fault> {
        let to = reply.to.as_deref().ok_or_else(|| Fault::permanent("the petitioner left no address to answer to"))?;
        let to: Address = to
            .trim()
            .parse()
            .map_err(|_| Fault::permanent("the petitioner's address is not one that mail can be sent to"))?;
        let id = bracketed(&reply.message_id)
            .ok_or_else(|| Fault::permanent("the answer's message id is not of the form left@right"))?;
        let subject: String =
            reply.subject.chars().map(|one| if one.is_control() { ' ' } else { one }).take(SUBJECT_CHARS).collect();
        let mut answers: Vec<String> = reply.answers.iter().filter_map(|id| bracketed(id)).take(REFERENCES).collect();
        let mut builder = Message::builder()
            .message_id(Some(id))
            .date(UNIX_EPOCH + Duration::from_secs(u64::try_from(self.clock.now().as_second()).unwrap_or_default()))
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .raw_header(fixed("Auto-Submitted", "auto-replied"))
            // Asks Exchange and its kin for the same silence.
            .raw_header(fixed("X-Auto-Response-Suppress", "All"))
            .header(ContentType::TEXT_PLAIN);
        if let Some(nearest) = answers.first() {
            builder = builder.in_reply_to(nearest.clone());
            answers.reverse();
            builder = builder.references(answers.join(" "));
        }
        builder.body(reply.text.clone()).map_err(|_| Fault::permanent("the answer cannot be written as a mail"))
    }
}

impl Sender {
    /// The way to the server, with what lets us in.
    async fn way(&self) -> Result<(SecretString, Transport), Fault> {
        let secret = match &self.server.pass {
            Pass::Nobody => SecretString::default(),
            Pass::Password(_, password) => password.clone(),
            Pass::Tokens(_, tokens) => tokens.access(self.clock.now()).await?,
        };
        let mut kept = self.transport.lock().await;
        if let Some((with, transport)) = &*kept
            && with.expose_secret() == secret.expose_secret()
        {
            return Ok((secret, transport.clone()));
        }
        let transport = self.server.transport(&secret);
        *kept = Some((secret.clone(), transport.clone()));
        Ok((secret, transport))
    }
}

impl Server {
    fn transport(&self, secret: &SecretString) -> Transport {
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .tls(self.tls.clone())
            .timeout(Some(COMMAND))
            // The machine's name is nobody's business.
            .hello_name(ClientId::Domain("localhost".to_owned()))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS));
        let credentials = |user: &String| Credentials::new(user.clone(), secret.expose_secret().to_owned());
        match &self.pass {
            Pass::Nobody => {}
            Pass::Password(user, _) => builder = builder.credentials(credentials(user)),
            Pass::Tokens(user, _) => {
                builder = builder.credentials(credentials(user)).authentication(vec![Mechanism::Xoauth2]);
            }
        }
        builder.build()
    }

    /// Never tells the server's words: they name the petitioner's address.
    fn fault(&self, error: &lettre::transport::smtp::Error) -> Fault {
        let host = &self.host;
        if let Some(code) = error.status() {
            let code: u16 = code.into();
            let enhanced = enhanced_status(error).map(|status| format!(" {status}")).unwrap_or_default();
            return match code {
                530 | 534 | 535 | 538 => {
                    Fault::authentication(format!("{host} does not let us send ({code}{enhanced})")).remedy(
                        "check smtp.user and smtp.password; 163, 126 and qq boxes want the authorisation code (授权码)",
                    )
                }
                400..=499 => Fault::transient(format!("{host} does not take the answer now ({code}{enhanced})")),
                _ => Fault::permanent(format!("{host} refuses the answer ({code}{enhanced})"))
                    .remedy("answer the petitioner another way, or check smtp.from"),
            };
        }
        if let Some(cause) = cause_in_tls(error) {
            return certificate_fault(host, cause);
        }
        if error.is_client() {
            return Fault::configuration(format!("{host} does not offer what the settings ask for"))
                .remedy("check smtp.tls (STARTTLS may be missing) and that the server takes a user and a password");
        }
        if error.is_timeout() {
            return Fault::transient(format!("{host} did not answer within {} s", COMMAND.as_secs()));
        }
        Fault::transient(format!("{host}:{} cannot be reached or broke off", self.port))
            .remedy("check smtp.host and smtp.port if this lasts")
    }
}

#[async_trait]
impl Answer for Sender {
    async fn answer(&self, reply: &Reply) -> Result<(), Fault> {
        let message = self.message(reply)?;
        let (secret, transport) = self.way().await?;
        self.pace.ready().await;
        let fault = match transport.send(message).await {
            Ok(_) => return Ok(()),
            Err(error) => self.server.fault(&error),
        };
        if let (Pass::Tokens(_, tokens), FaultClass::Authentication) = (&self.server.pass, fault.class) {
            tokens.forget(&secret);
        }
        Err(fault)
    }
}

fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, Fault> {
    let mut builder = TlsParameters::builder(host.to_owned());
    builder = match ca_file {
        None => builder.certificate_store(CertificateStore::WebpkiRoots),
        Some(path) => {
            let unusable = |why: String| {
                Fault::configuration(format!("the certificate file {} cannot be used: {why}", path.display()))
                    .remedy("give a PEM file with the certificate of the authority that signed the server's")
            };
            let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
            builder.certificate_store(CertificateStore::None).add_root_certificate(certificate)
        }
    };
    builder.build_rustls().map_err(|error| Fault::configuration(format!("TLS cannot be set up: {error}")))
}

/// A message id between angle brackets, if it can be written without breaking the header (RFC 5322 section 3.6.4).
fn bracketed(id: &str) -> Option<String> {
    let id = id.trim().trim_start_matches('<').trim_end_matches('>');
    let fits = !id.is_empty() && id.len() <= ID_CHARS;
    let clean = id.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'));
    (fits && clean && id.contains('@')).then(|| format!("<{id}>"))
}

fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The enhanced status at the beginning of the server's words (RFC 3463), which names no one.
fn enhanced_status(error: &lettre::transport::smtp::Error) -> Option<String> {
    let words = error.source()?.to_string();
    let first = words.split_whitespace().next()?;
    let numbers: Vec<&str> = first.split('.').collect();
    let well_formed = numbers.len() == 3
        && numbers
            .iter()
            .all(|number| (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()));
    well_formed.then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::{
        clock::ManualClock,
        contract::Limits,
        entry::ExternalId,
        http::{Http, HttpLimits, Unpaced},
    };

    use super::*;

    fn sender() -> Sender {
        let smtp = Smtp {
            host: "localhost".to_owned(),
            port: None,
            tls: Tls::None,
            user: None,
            password: None,
            from: "12345@liaoyang.example".to_owned(),
            from_name: "辽阳市12345热线".to_owned(),
        };
        let pace = Arc::new(Unpaced);
        let tools = Toolbox {
            clock: Arc::new(ManualClock::new("2026-11-23T01:30:00Z".parse().unwrap())),
            http: Http::new(HttpLimits::default(), pace.clone()).unwrap(),
            pace,
            limits: Limits::default(),
        };
        Sender::new(&smtp, None, None, &tools).unwrap()
    }

    fn reply() -> Reply {
        Reply {
            message_id: "n-1@12345.liaoyang.example".to_owned(),
            to: Some("wang@example.com".to_owned()),
            about: ExternalId::new("x"),
            occasion: None,
            answers: vec!["b@example.com".to_owned(), "<a@example.com>".to_owned()],
            subject: "您的诉求已受理".to_owned(),
            text: "您好：\n您的诉求已受理。".to_owned(),
        }
    }

    fn written(reply: &Reply) -> String {
        String::from_utf8(sender().message(reply).unwrap().formatted()).unwrap()
    }

    fn headers(mail: &str) -> Vec<&str> {
        mail.split("\r\n\r\n").next().unwrap().split("\r\n").collect()
    }

    #[test]
    fn an_answer_says_what_it_answers_and_that_a_machine_sent_it() {
        let mail = written(&reply());
        let headers = headers(&mail);
        for expected in [
            "Message-ID: <n-1@12345.liaoyang.example>",
            "In-Reply-To: <b@example.com>",
            "References: <a@example.com> <b@example.com>",
            "Auto-Submitted: auto-replied",
            "X-Auto-Response-Suppress: All",
            "To: wang@example.com",
            "Date: Mon, 23 Nov 2026 01:30:00 +0000",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(headers.contains(&expected), "{expected} is missing in {headers:#?}");
        }
        assert!(headers.iter().any(|header| header.starts_with("Subject: =?utf-8?")));
        assert!(headers.iter().any(|header| header.starts_with("From: =?utf-8?")));
    }

    #[test]
    fn nothing_in_a_reply_adds_a_header() {
        let hostile = "x\r\nBcc: evil@example.com\r\n\r\nbody";
        let mut reply = reply();
        reply.subject = hostile.to_owned();
        reply.answers =
            vec![hostile.to_owned(), "good@example.com".to_owned(), "a@b\nBcc: evil@example.com".to_owned()];
        let mail = written(&reply);
        assert!(headers(&mail).iter().all(|header| !header.to_lowercase().starts_with("bcc")), "{mail}");
        assert!(mail.contains("References: <good@example.com>\r\n"));
        for (id, to) in
            [(hostile, "wang@example.com"), ("a@b", hostile), ("no-at-sign", "wang@example.com"), ("a@b", "王")]
        {
            let reply = Reply { message_id: id.to_owned(), to: Some(to.to_owned()), ..reply.clone() };
            let fault = sender().message(&reply).unwrap_err();
            assert_eq!(fault.class, crate::fault::FaultClass::Permanent);
            assert!(!fault.to_string().contains("evil") && !fault.to_string().contains('王'), "{fault}");
        }
    }
}
