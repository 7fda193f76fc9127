//! Every word that a citizen reads on the portal, Chinese first: the one catalogue. A word that one language lacks does not
//! compile.

use connectors::public_form::Problem;
use jiff::civil::Date;

use crate::assess::{Article, Kind};

/// A language of the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Language {
    /// 中文.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Language {
    /// The language that a page is asked for in; Chinese unless it is English.
    pub(super) fn of(name: Option<&str>) -> Self {
        if name == Some("en") { Self::English } else { Self::Chinese }
    }

    /// Its words.
    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::Chinese => &CHINESE,
            Self::English => &ENGLISH,
        }
    }
}

/// A field's label and what helps to fill it in.
pub(super) struct Label {
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
}

/// The words of one language.
pub(super) struct Words {
    pub(super) language: Language,
    /// For `lang` (BCP 47).
    pub(super) tag: &'static str,
    /// The value of the parameter `lang`.
    pub(super) name: &'static str,
    pub(super) other_name: &'static str,
    pub(super) other_tag: &'static str,
    pub(super) other: &'static str,
    pub(super) skip: &'static str,
    pub(super) menu: &'static str,
    pub(super) heading: &'static str,
    pub(super) lead: &'static str,
    pub(super) emergency_title: &'static str,
    pub(super) emergency: &'static str,
    pub(super) emergency_now: &'static str,
    pub(super) to_form: &'static str,
    pub(super) to_status: &'static str,
    pub(super) needed: &'static str,
    pub(super) needed_note: &'static str,
    pub(super) errors_title: &'static str,
    pub(super) error: &'static str,
    pub(super) matter: &'static str,
    pub(super) contact: &'static str,
    pub(super) contact_note: &'static str,
    pub(super) wishes: &'static str,
    pub(super) kind: Label,
    pub(super) kind_unsure: &'static str,
    pub(super) title: Label,
    pub(super) course: Label,
    pub(super) time: Label,
    pub(super) place: Label,
    pub(super) parties: Label,
    pub(super) request: Label,
    pub(super) person: Label,
    pub(super) phone: Label,
    pub(super) email: Label,
    pub(super) files: &'static str,
    pub(super) files_again: &'static str,
    pub(super) wants_answer: &'static str,
    pub(super) answer_yes: &'static str,
    pub(super) answer_no: &'static str,
    pub(super) public: &'static str,
    pub(super) public_yes: &'static str,
    pub(super) public_no: &'static str,
    pub(super) trap: &'static str,
    pub(super) privacy: &'static str,
    pub(super) send: &'static str,
    pub(super) stale: &'static str,
    pub(super) elsewhere: &'static str,
    pub(super) trapped: &'static str,
    pub(super) hasty: &'static str,
    pub(super) too_often: &'static str,
    pub(super) not_stored: &'static str,
    pub(super) broken_off: &'static str,
    pub(super) busy: &'static str,
    pub(super) received: &'static str,
    pub(super) received_note: &'static str,
    pub(super) ticket_number: &'static str,
    pub(super) reception_number: &'static str,
    pub(super) query_code: &'static str,
    pub(super) keep: &'static str,
    pub(super) ask_again: &'static str,
    pub(super) status_heading: &'static str,
    pub(super) status_lead: &'static str,
    pub(super) number: Label,
    pub(super) code: Label,
    pub(super) ask: &'static str,
    pub(super) not_found: &'static str,
    pub(super) state: &'static str,
    pub(super) kind_of: &'static str,
    pub(super) due: &'static str,
    pub(super) received_at: &'static str,
    pub(super) pending: &'static str,
    pub(super) accepted: &'static str,
    pub(super) handed_on: &'static str,
    pub(super) repeat: &'static str,
    pub(super) co_report: &'static str,
    pub(super) guided: &'static str,
    pub(super) declined: &'static str,
    pub(super) held: &'static str,
    pub(super) held_note: &'static str,
    pub(super) guidance_otherwise: &'static str,
    pub(super) refusal_otherwise: &'static str,
    pub(super) gone_title: &'static str,
    pub(super) gone: &'static str,
    pub(super) off_title: &'static str,
    pub(super) off: &'static str,
    pub(super) call: &'static str,
}

impl Words {
    /// A kind of request.
    pub(super) fn kind_name(&self, kind: Kind) -> &'static str {
        match (self.language, kind) {
            (Language::Chinese, kind) => kind.chinese(),
            (Language::English, Kind::Consult) => "Question",
            (Language::English, Kind::Suggest) => "Suggestion",
            (Language::English, Kind::Help) => "Request for help",
            (Language::English, Kind::Complain) => "Complaint or report",
        }
    }

    /// A day.
    pub(super) fn day(&self, date: Date) -> String {
        match self.language {
            Language::Chinese => format!("{}年{}月{}日", date.year(), date.month(), date.day()),
            Language::English => date.to_string(),
        }
    }

    /// What was decided, on which article.
    pub(super) fn decided(&self, what: &str, article: Article) -> String {
        match self.language {
            Language::Chinese => {
                format!("{what}（依据《辽阳市12345市长热线工作管理办法(试行)》{}）", article.chinese())
            }
            Language::English => format!("{what} (Article {article} of 辽市政发〔2017〕58号)"),
        }
    }

    /// How many files may come along, and how large they may be.
    pub(super) fn files_hint(&self, files: usize, each: u64, together: u64) -> String {
        let (each, together) = (size(each), size(together));
        match self.language {
            Language::Chinese => format!(
                "最多{files}个，每个不超过{each}，合计不超过{together}。可以是照片、PDF、Word、Excel、录音、视频或文本文件；不接收压缩包。"
            ),
            Language::English => format!(
                "At most {files}, each up to {each} and together up to {together}: pictures, PDF, Word, Excel, recordings, video or \
                 plain text. Archives are not taken."
            ),
        }
    }

    /// What is wrong with a field that is labelled `label`.
    pub(super) fn problem(&self, label: &str, problem: Problem) -> String {
        match self.language {
            Language::Chinese => match problem {
                Problem::Missing => format!("请填写{label}"),
                Problem::NoWayBack => "希望答复的，请至少填写电话或电子邮箱".to_owned(),
                Problem::TooLong(most) => format!("{label}太长，请不要超过{most}个字"),
                Problem::BadForm => format!("{label}看起来不对，请检查"),
                Problem::TooMany(most) => format!("附件太多，最多{most}个"),
                Problem::TooLarge(number, most) => format!("第{number}个附件太大，每个不能超过{}", size(most)),
                Problem::TooLargeTogether(most) => format!("附件合计太大，不能超过{}", size(most)),
                Problem::Archive(number) => {
                    format!("第{number}个附件是压缩包，我们不接收压缩包，请直接上传里面的文件")
                }
                Problem::Unknown(number) => {
                    format!("第{number}个附件的类型不能接收，请上传照片、PDF、Word、Excel、录音、视频或文本文件")
                }
                Problem::Empty(number) => format!("第{number}个附件是空的"),
            },
            Language::English => match problem {
                Problem::Missing => format!("Please fill in: {label}"),
                Problem::NoWayBack => "For an answer we need a telephone number or an e-mail address".to_owned(),
                Problem::TooLong(most) => format!("{label}: no more than {most} characters, please"),
                Problem::BadForm => format!("{label}: this does not look right"),
                Problem::TooMany(most) => format!("Too many files: at most {most}"),
                Problem::TooLarge(number, most) => format!("File {number} is larger than {}", size(most)),
                Problem::TooLargeTogether(most) => format!("The files together are larger than {}", size(most)),
                Problem::Archive(number) => {
                    format!("File {number} is an archive, which we do not take: please send the files in it")
                }
                Problem::Unknown(number) => format!(
                    "File {number} is of a kind that we do not take: please send pictures, PDF, Word, Excel, recordings, video or plain \
                     text"
                ),
                Problem::Empty(number) => format!("File {number} is empty"),
            },
        }
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{} MB", bytes / MIB)
    } else {
        format!("{} KB", bytes / KIB)
    }
}

const CHINESE: Words = Words {
    language: Language::Chinese,
    tag: "zh-CN",
    name: "zh",
    other_name: "en",
    other_tag: "en",
    other: "English",
    skip: "跳到正文",
    menu: "页面导航",
    heading: "我要反映",
    lead: "您可以在这里向12345热线咨询、求助、投诉举报或提出建议。提交后会得到编号和查询码，可以随时查询进展。",
    emergency_title: "紧急情况请不要在这里等待",
    emergency: "危及生命财产安全的，请立即拨打：报警110，火警119，急救120。",
    emergency_now: "您反映的情况可能危及生命财产安全。请现在就拨打：报警110，火警119，急救120。不要等待网上答复。",
    to_form: "我要反映",
    to_status: "查询进展",
    needed: "必填",
    needed_note: "标有“必填”的项目必须填写，其余项目可以不填；填得越具体，办理越快。",
    errors_title: "还不能提交，请检查下面的内容",
    error: "错误：",
    matter: "事情的情况",
    contact: "您的联系方式",
    contact_note: "只用于联系和答复您，加密保存，不提供给被反映的单位（《办法》第二十四条）。",
    wishes: "答复与公开",
    kind: Label { label: "类别", hint: "不确定也没关系，我们会判断。" },
    kind_unsure: "不确定",
    title: Label { label: "标题", hint: "用一句话说明是什么事。" },
    course: Label { label: "事情经过", hint: "发生了什么，现在怎么样，此前找过哪些部门。" },
    time: Label { label: "发生时间", hint: "例如：11月20日晚上8点左右。" },
    place: Label { label: "发生地点", hint: "尽量具体到区县、街道、小区、楼栋或门牌号。" },
    parties: Label {
        label: "当事人或被反映单位", hint: "涉及的单位或人员，不知道可以不填。"
    },
    request: Label { label: "您的诉求", hint: "希望怎样解决。" },
    person: Label { label: "姓名", hint: "" },
    phone: Label { label: "电话", hint: "手机或带区号的座机。" },
    email: Label { label: "电子邮箱", hint: "" },
    files: "附件",
    files_again: "附件没有保留，请重新选择。",
    wants_answer: "您希望我们答复您吗？",
    answer_yes: "希望电话或邮件答复",
    answer_no: "不需要，我自己查询",
    public: "是否同意公开本诉求及其答复？",
    public_yes: "同意公开（不含您的个人信息）",
    public_no: "不同意公开",
    trap: "请不要填写这一项",
    privacy: "请不要在标题和经过中写身份证号、银行卡号等与事情无关的个人信息。",
    send: "提交",
    stale: "页面打开得太久了。您填写的内容还在，请检查后再次提交。",
    elsewhere: "这次提交来自别的网站。请核对下面的内容，确认是您本人要反映的，再提交。",
    trapped: "有一个不应填写的项目被填写了，已经清空。请检查后再次提交。",
    hasty: "提交得太快了。请检查填写的内容，过几秒钟再提交。",
    too_often: "这个网络在短时间内提交得太多了。您填写的内容还在，请过一会儿再提交，或者拨打12345。",
    not_stored: "暂时没有保存成功。您填写的内容还在，请过一会儿再次提交；重复提交不会重复登记。",
    broken_off: "内容没有传完，请检查网络后再次提交。",
    busy: "现在提交的人太多了，请过一会儿再试，或者拨打12345。",
    received: "已经收到",
    received_note: "您反映的事项已经保存。",
    ticket_number: "工单编号",
    reception_number: "登记号",
    query_code: "查询码",
    keep: "请抄下或拍下编号和查询码。查询码只显示这一次，请不要告诉别人。",
    ask_again: "查询最新进展",
    status_heading: "查询进展",
    status_lead: "请输入提交时得到的编号（工单编号或登记号）和查询码。",
    number: Label {
        label: "编号", hint: "工单编号（例如 261123-000042-8）或登记号（以 R 开头）。"
    },
    code: Label { label: "查询码", hint: "25个字母和数字，大小写和横线不影响。" },
    ask: "查询",
    not_found: "没有查到。编号或查询码不对，请检查；如仍查不到，请拨打12345。",
    state: "进展",
    kind_of: "类别",
    due: "答复期限",
    received_at: "收到日期",
    pending: "已收到，正在登记。请过几分钟再查询。",
    accepted: "已受理，正在确定承办单位。",
    handed_on: "已受理，已转入办理。",
    repeat: "与您此前反映的事项相同，已并入原工单，一并催办。",
    co_report: "已受理。已有其他市民反映同一问题，并入同一工单办理，并将单独答复您。",
    guided: "不属于本热线直接办理的范围，需要请您直接向有关部门反映",
    declined: "不属于本热线受理范围",
    held: "工作人员正在人工核实。",
    held_note: "核实后可以在这里看到结果。需要补充时间、地点、当事人、经过等情况的，请拨打12345，报出登记号。",
    guidance_otherwise: "如不清楚应向哪个部门反映，请拨打12345。",
    refusal_otherwise: "如认为判断有误，请拨打12345说明，由工作人员复核。",
    gone_title: "没有这个页面",
    gone: "请检查网址。",
    off_title: "暂停服务",
    off: "网上提交暂时停止。查询进展不受影响。",
    call: "您也可以拨打",
};

const ENGLISH: Words = Words {
    language: Language::English,
    tag: "en",
    name: "en",
    other_name: "zh",
    other_tag: "zh-CN",
    other: "中文",
    skip: "Skip to the content",
    menu: "Pages",
    heading: "Tell us",
    lead: "Ask, ask for help, complain or suggest: this is the 12345 hotline. You get a number and a query code to follow it with.",
    emergency_title: "Do not wait here in an emergency",
    emergency: "If life or property is in danger, call at once: police 110, fire 119, ambulance 120.",
    emergency_now: "What you describe may put life or property in danger. Call now: police 110, fire 119, ambulance 120. Do not wait \
                    for an answer here.",
    to_form: "Tell us",
    to_status: "Follow up",
    needed: "needed",
    needed_note: "Only what is marked “needed” must be filled in; the more precise you are, the sooner it is dealt with.",
    errors_title: "This cannot be sent yet: please look at the following",
    error: "Error: ",
    matter: "The matter",
    contact: "How to reach you",
    contact_note: "Only for reaching and answering you; kept sealed and not given to whom you complain of (Article 24).",
    wishes: "Answer and publication",
    kind: Label { label: "Kind", hint: "If you are not sure, we shall see." },
    kind_unsure: "Not sure",
    title: Label { label: "Title", hint: "What it is about, in one sentence." },
    course: Label { label: "What happened", hint: "What happened, how it stands now, whom you have turned to." },
    time: Label { label: "When", hint: "For example: 20 November, about 8 in the evening." },
    place: Label { label: "Where", hint: "District, street, estate, building or number, as precisely as you can." },
    parties: Label { label: "Who is involved", hint: "Offices, companies or people, if you know." },
    request: Label { label: "What you ask for", hint: "How it should be solved." },
    person: Label { label: "Name", hint: "" },
    phone: Label { label: "Telephone", hint: "Mobile, or landline with its area code." },
    email: Label { label: "E-mail", hint: "" },
    files: "Files",
    files_again: "The files were not kept: please choose them again.",
    wants_answer: "Do you wish an answer?",
    answer_yes: "Yes, by telephone or e-mail",
    answer_no: "No, I shall look here",
    public: "May this and its answer be published?",
    public_yes: "Yes, without anything personal",
    public_no: "No",
    trap: "Please leave this empty",
    privacy: "Please write no identity or bank card numbers that have nothing to do with the matter.",
    send: "Send",
    stale: "The page was open for too long. What you wrote is still here: please check it and send it again.",
    elsewhere: "This came from another website. Please check that it is what you want to say, and send it.",
    trapped: "Something was filled in that must stay empty; it has been emptied. Please check the rest and send it again.",
    hasty: "That was very quick. Please check what you wrote and send it again in a few seconds.",
    too_often: "Too much was sent from this network in a short time. What you wrote is still here: please send it a little later, or \
                call 12345.",
    not_stored: "It could not be stored just now. What you wrote is still here: please send it again a little later; it will count \
                 once.",
    broken_off: "It did not arrive whole. Please check your connection and send it again.",
    busy: "Too many people are sending at this moment. Please try again a little later, or call 12345.",
    received: "Received",
    received_note: "What you sent has been stored.",
    ticket_number: "Ticket number",
    reception_number: "Reception number",
    query_code: "Query code",
    keep: "Please write down or photograph the number and the code. The code is shown this once; tell it to nobody.",
    ask_again: "See how it stands",
    status_heading: "Follow up",
    status_lead: "Enter the number (of the ticket or of the reception) and the query code that you were given.",
    number: Label {
        label: "Number",
        hint: "Of the ticket (as 261123-000042-8) or of the reception (it begins with R).",
    },
    code: Label { label: "Query code", hint: "25 letters and digits; capitals and hyphens do not matter." },
    ask: "Look up",
    not_found: "Nothing was found. The number or the code is not right: please check them, or call 12345.",
    state: "State",
    kind_of: "Kind",
    due: "To be answered by",
    received_at: "Received on",
    pending: "Received and being registered. Please look again in a few minutes.",
    accepted: "Accepted; the office in charge is being found.",
    handed_on: "Accepted and handed on.",
    repeat: "The same as what you told us before: joined to that ticket, which is urged on.",
    co_report: "Accepted. Others have reported the same: it is dealt with in the same ticket, and you will be answered yourself.",
    guided: "This is for another office, to which you have to turn yourself",
    declined: "This is outside of what the hotline takes",
    held: "A person is looking at it.",
    held_note: "The outcome will be shown here. To add when, where, who and what, call 12345 and tell the reception number.",
    guidance_otherwise: "If you do not know which office that is, call 12345.",
    refusal_otherwise: "If you think that this is wrong, call 12345: a person will look at it again.",
    gone_title: "There is no such page",
    gone: "Please check the address.",
    off_title: "Closed for the moment",
    off: "Nothing can be sent just now. Following up works as usual.",
    call: "You can also call",
};
