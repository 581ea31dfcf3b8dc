"""Languages of tracks: the codes of ISO 639-1 and of both kinds of ISO 639-2, as one."""

from __future__ import annotations

import re

_TWO_LETTERS = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bh:bih
bi:bis bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv cy:cym da:dan
de:deu dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra
fy:fry ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her
ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua
kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin
lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob
nd:nde ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli
pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag si:sin sk:slk
sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir
tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol
wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""
"""ISO 639-1 code and ISO 639-2/T code of the same language. Source: Debian's iso-codes, of the Library of Congress."""

_BIBLIOGRAPHIC = """
alb:sqi arm:hye baq:eus bur:mya chi:zho cze:ces dut:nld fre:fra geo:kat ger:deu gre:ell ice:isl mac:mkd mao:mri
may:msa per:fas rum:ron slo:slk tib:bod wel:cym
"""
"""ISO 639-2/B and 639-2/T code, where they differ: Matroska and MPEG-TS write the former, MP4 the latter."""

_TERMINOLOGICAL = dict(pair.split(":") for pair in (_TWO_LETTERS + _BIBLIOGRAPHIC).split())
_OF_THREE = {pair.partition(":")[2]: pair.partition(":")[0] for pair in _TWO_LETTERS.split()}
_TAG = re.compile(r"([a-z]{2,3})([-_][a-z0-9]+)*")


def language_code(tag: str) -> str | None:
    """The ISO 639-2/T code of a tag such as `de`, `ger`, `deu` or `de-CH`; None where it has not the form of one.

    A code of three letters that the tables do not have is its own.
    """
    match = _TAG.fullmatch(tag.strip().lower())
    return None if match is None else _TERMINOLOGICAL.get(match[1], match[1])


def two_letters(code: str) -> str | None:
    """The ISO 639-1 code of `de`, `deu` or `ger`; None where there is none, or the code is none."""
    return _OF_THREE.get(_TERMINOLOGICAL.get(code, code))
