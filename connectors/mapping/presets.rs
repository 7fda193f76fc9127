//! Ready mappings for the channels whose partners send by themselves or hand over files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Field, Join, Labelled, Mapping, Part, Pick};
use crate::contract::PresetInfo;

/// A ready mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The form that a 12345 agent fills in during a call (Article 13(4): 时间、地点、当事人、经过):
    /// `call_id`, `caller`, `start`, `form` with `kind`, `place`, `time`, `parties`, `course`, `request`, `contact`.
    CallCenter,
    /// A complaint from the business-environment platform, by a person or an organisation:
    /// `id`, `submitted_at`, `complainant`, `organisation`, `respondent`, `title`, `facts`, `request`, `reply_by`.
    BusinessEnvironment,
    /// The form on the city's portal: `id`, `submitted_at`, `name`, `phone`, `email`, `title`, `content`, `want_reply`.
    Portal,
    /// A row that a clerk keyed in from a letter, or an export of another system, with Chinese column names.
    Letter,
    /// 顺德 12345 export: 序号, 工单编号, 标题, 内容.
    Shunde,
    /// 上海 12345 export to a district: columns that begin with 12345 in some years, dates as text and as serial numbers.
    ShanghaiDistrict,
    /// 民心网 诉求问题请示单, keyed in or exported: days without a time, petitioners in full.
    Minxin,
    /// A 12345 case exported from a city-management platform, with the platform's own column names.
    CityManagement,
    /// 福州 back office list.
    Fuzhou,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 9] = [
        Self::CallCenter,
        Self::BusinessEnvironment,
        Self::Portal,
        Self::Letter,
        Self::Shunde,
        Self::ShanghaiDistrict,
        Self::Minxin,
        Self::CityManagement,
        Self::Fuzhou,
    ];

    /// Those that are for tables: letters and exports.
    pub const EXPORTS: [Self; 6] =
        [Self::Letter, Self::Shunde, Self::ShanghaiDistrict, Self::Minxin, Self::CityManagement, Self::Fuzhou];

    /// The name that configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallCenter => "call_center",
            Self::BusinessEnvironment => "business_environment",
            Self::Portal => "portal",
            Self::Letter => "letter",
            Self::Shunde => "shunde",
            Self::ShanghaiDistrict => "shanghai_district",
            Self::Minxin => "minxin",
            Self::CityManagement => "city_management",
            Self::Fuzhou => "fuzhou",
        }
    }

    /// Name, what it reads, and how it is set.
    pub fn info(self) -> PresetInfo {
        let name = self.as_str();
        let about = match self {
            Self::CallCenter => "话务系统推送的通话表单",
            Self::BusinessEnvironment => "营商环境投诉",
            Self::Portal => "门户网站表单",
            Self::Letter => "信件登记表（中文列名）",
            Self::Shunde => "顺德 12345 导出：序号、工单编号、标题、内容",
            Self::ShanghaiDistrict => "上海 12345 下发区级导出：列名逐年不同，日期文本与 Excel 序号混用",
            Self::Minxin => "民心网诉求问题请示单：只有日期，无类别",
            Self::CityManagement => "城市管理平台导出的 12345 案件",
            Self::Fuzhou => "福州便民呼叫后台列表",
        };
        PresetInfo { name, about, text: format!("mapping = {{ preset = \"{name}\" }}\n") }
    }

    /// The mapping that it stands for.
    pub fn mapping(self) -> Mapping {
        match self {
            Self::CallCenter => call_center(),
            Self::BusinessEnvironment => business_environment(),
            Self::Portal => portal(),
            Self::Letter => letter(),
            Self::Shunde => shunde(),
            Self::ShanghaiDistrict => shanghai_district(),
            Self::Minxin => minxin(),
            Self::CityManagement => city_management(),
            Self::Fuzhou => fuzhou(),
        }
    }
}

fn first(pointers: &[&str]) -> Pick {
    Pick::First(pointers.iter().map(|&pointer| pointer.to_owned()).collect())
}

fn labelled(label: &str, at: &str) -> Part {
    Part::Labelled(Labelled { label: label.to_owned(), at: at.to_owned() })
}

fn call_center() -> Mapping {
    Mapping {
        id: Some(first(&["/call_id"])),
        time: Some(first(&["/start", "/answer"])),
        name: Some(first(&["/form/contact/name", "/form/name"])),
        phone: Some(first(&["/caller", "/form/contact/phone", "/form/contact"])),
        email: Some(first(&["/form/contact/email"])),
        address: Some(first(&["/form/contact/address"])),
        subject: Some(first(&["/form/title"])),
        body: Some(first(&["/form/course"])),
        occurred: Some(first(&["/form/time"])),
        place: Some(first(&["/form/place"])),
        parties: Some(first(&["/form/parties"])),
        request: Some(first(&["/form/request"])),
        label: Some(first(&["/form/kind"])),
        wants_answer: Some(first(&["/form/contact/wants_answer", "/form/wants_answer", "/form/contact"])),
        require: vec![Field::Id, Field::Body],
        ..Mapping::default()
    }
}

fn business_environment() -> Mapping {
    Mapping {
        id: Some(first(&["/id", "/信件编号"])),
        time: Some(first(&["/submitted_at", "/投诉时间"])),
        name: Some(first(&["/complainant/name", "/真实姓名", "/投诉人"])),
        phone: Some(first(&["/complainant/phone", "/organisation/phone", "/联系方式", "/电话"])),
        email: Some(first(&["/complainant/email", "/电子邮箱"])),
        address: Some(first(&["/complainant/address", "/organisation/address", "/家庭地址"])),
        ip: Some(first(&["/ip"])),
        organisation: Some(first(&["/organisation/name", "/企业名称"])),
        organisation_code: Some(first(&["/organisation/code", "/统一社会信用代码"])),
        subject: Some(first(&["/title", "/信件标题", "/投诉标题"])),
        body: Some(first(&["/facts", "/事由", "/投诉内容"])),
        occurred: Some(first(&["/occurred", "/发生时间"])),
        place: Some(first(&["/place", "/发生地点"])),
        parties: Some(Pick::Join(Join {
            join: vec![
                labelled("被投诉单位", "/respondent/unit"),
                labelled("被投诉人", "/respondent/person"),
                labelled("被投诉单位", "/被投诉单位"),
                labelled("被投诉人", "/被投诉人"),
            ],
            separator: Some("；".to_owned()),
        })),
        request: Some(first(&["/request", "/诉求"])),
        label: Some(first(&["/category", "/类别"])),
        wants_answer: Some(first(&["/reply_by", "/答复方式"])),
        require: vec![Field::Id, Field::Body],
        ..Mapping::default()
    }
}

fn portal() -> Mapping {
    Mapping {
        id: Some(first(&["/id"])),
        time: Some(first(&["/submitted_at"])),
        name: Some(first(&["/name"])),
        phone: Some(first(&["/phone"])),
        email: Some(first(&["/email"])),
        address: Some(first(&["/address"])),
        ip: Some(first(&["/ip"])),
        account: Some(first(&["/account"])),
        subject: Some(first(&["/title"])),
        body: Some(first(&["/content"])),
        occurred: Some(first(&["/occurred"])),
        place: Some(first(&["/place"])),
        parties: Some(first(&["/parties"])),
        request: Some(first(&["/request"])),
        label: Some(first(&["/category"])),
        wants_answer: Some(first(&["/want_reply"])),
        answers: Some(first(&["/answers"])),
        require: vec![Field::Id, Field::Body],
        ..Mapping::default()
    }
}

fn letter() -> Mapping {
    Mapping {
        id: Some(first(&["/工单编号", "/信件编号", "/受理编号", "/诉求编号", "/来信编号", "/12345工单编号", "/编号"])),
        time: Some(first(&[
            "/来信时间",
            "/来信日期",
            "/收信日期",
            "/受理时间",
            "/投诉时间",
            "/登记时间",
            "/12345受理时间",
            "/时间",
            "/日期",
        ])),
        name: Some(first(&["/来信人", "/投诉人姓名", "/投诉人", "/姓名", "/反映人", "/诉求人"])),
        phone: Some(first(&["/联系电话", "/投诉人电话", "/电话", "/手机", "/联系方式", "/来电号码"])),
        email: Some(first(&["/电子邮箱", "/邮箱", "/投诉人Mail"])),
        address: Some(first(&["/来信人地址", "/投诉人地址", "/家庭住址", "/家庭地址", "/住址", "/通讯地址"])),
        organisation: Some(first(&["/企业名称", "/单位名称"])),
        organisation_code: Some(first(&["/统一社会信用代码"])),
        subject: Some(first(&["/标题", "/主题", "/投诉标题", "/信件标题"])),
        body: Some(first(&[
            "/内容",
            "/来信内容",
            "/投诉内容",
            "/诉求内容",
            "/内容描述",
            "/12345内容描述",
            "/反映内容",
            "/经过",
        ])),
        occurred: Some(first(&["/发生时间", "/事发时间"])),
        place: Some(first(&["/地点", "/事发地点", "/发生地点", "/事件地点", "/诉求地址", "/12345诉求地址", "/地址"])),
        parties: Some(first(&["/当事人", "/被投诉单位", "/被反映单位", "/涉及单位"])),
        request: Some(first(&["/诉求", "/要求"])),
        label: Some(first(&["/诉求类型", "/工单类型", "/12345工单类型", "/类型", "/类别", "/性质"])),
        wants_answer: Some(first(&["/答复方式", "/是否回复", "/是否需要回复"])),
        ..Mapping::default()
    }
}

fn shunde() -> Mapping {
    Mapping {
        id: Some(first(&["/工单编号"])),
        subject: Some(first(&["/标题"])),
        body: Some(first(&["/内容"])),
        require: vec![Field::Body],
        ..Mapping::default()
    }
}

/// The prefix comes and goes from year to year, in the same file even; both names are looked for.
fn shanghai_district() -> Mapping {
    Mapping {
        id: Some(first(&["/12345工单编号", "/SH工单编号", "/工单编号"])),
        id_prefixes: ["12345SH", "12345-", "SH", "12345"].map(str::to_owned).into(),
        time: Some(first(&["/12345受理时间", "/SH受理时间", "/受理时间"])),
        body: Some(first(&["/12345内容描述", "/SH内容描述", "/内容描述"])),
        place: Some(first(&["/12345诉求地址", "/SH诉求地址", "/诉求地址", "/小区地址", "/小区名称"])),
        parties: Some(first(&["/物业公司"])),
        label: Some(first(&["/12345工单类型", "/SH工单类型", "/工单类型"])),
        require: vec![Field::Body],
        ..Mapping::default()
    }
}

fn minxin() -> Mapping {
    Mapping {
        id: Some(first(&["/受理编号"])),
        time: Some(first(&["/投诉时间"])),
        name: Some(first(&["/投诉人姓名"])),
        phone: Some(first(&["/投诉人电话"])),
        email: Some(first(&["/投诉人Mail"])),
        address: Some(first(&["/投诉人地址"])),
        subject: Some(first(&["/投诉标题"])),
        body: Some(first(&["/投诉内容"])),
        require: vec![Field::Body],
        ..Mapping::default()
    }
}

fn city_management() -> Mapping {
    Mapping {
        id: Some(first(&["/taskId"])),
        time: Some(first(&["/perCreateTime", "/discoverTime", "/createTime"])),
        name: Some(first(&["/reflectPerson"])),
        phone: Some(first(&["/callNumber"])),
        body: Some(first(&["/discription", "/description"])),
        place: Some(Pick::Join(Join {
            join: ["/streetName", "/communityName", "/address"].map(|at| Part::Plain(at.to_owned())).into(),
            separator: None,
        })),
        label: Some(first(&["/serviceType"])),
        require: vec![Field::Body],
        ..Mapping::default()
    }
}

fn fuzhou() -> Mapping {
    Mapping {
        id: Some(first(&["/诉求编号", "/callId"])),
        time: Some(first(&["/createTime", "/诉求时间", "/时间"])),
        name: Some(first(&["/callerName", "/诉求人"])),
        phone: Some(first(&["/callerCellphone", "/联系电话"])),
        subject: Some(first(&["/title", "/标题"])),
        body: Some(first(&["/content", "/诉求内容", "/内容"])),
        place: Some(first(&["/事件地点"])),
        label: Some(first(&["/kindName", "/诉求类型"])),
        require: vec![Field::Body],
        ..Mapping::default()
    }
}
