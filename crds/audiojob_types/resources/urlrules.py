"""Which addresses a source may have, as CEL rules for the API server.

They answer at creation what needs no look at the network. The runner's proxy stays the guard: only it sees what a name
resolves to, and where a redirect leads.
"""

from __future__ import annotations

from typing import Final

# Addresses that no fetch has any business with, whatever an administrator allows.
NEVER_NETWORKS: Final = (
    "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
    "::/128", "fe80::/10", "ff00::/8",
    # Metadata services beyond the link-local networks: Alibaba's, Amazon's, Google's, Azure's (a public address) and
    # Oracle's.
    "100.100.100.200/32", "fd00:ec2::254/128", "fd20:ce::254/128", "168.63.129.16/32",
    "192.0.0.192/32", "fd00:c1::a9fe:a9fe/128",
)  # fmt: skip
# What is not public, but may be allowed (fetch.allowedCIDRs). The runner refuses more.
PRIVATE_NETWORKS: Final = (
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
    "::/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "fc00::/7", "fec0::/10",
)  # fmt: skip

_THIS_MACHINE: Final = "([^:]*[.])?localhost|localhost[.]localdomain"
_METADATA: Final = "metadata|metadata[.]google[.]internal|metadata[.]goog|instance-data([.]ec2[.]internal)?"
# A name, or an IPv6 address in brackets. Another character of printable ASCII cannot be in a host.
_HOST: Final = "([-_.A-Za-z0-9]+|[[][0-9A-Fa-f.]*:[0-9A-Fa-f.:]*[]])"
# What has a rule, and a sentence, of its own: an at sign, spaces, control characters, letters beyond ASCII.
_ANSWERED_ELSEWHERE: Final = "[^/?#]*[^!-?A-~]"


def host_of(url: str) -> str:
    """CEL for the host that the URL ``url``, itself CEL, names: a name or an address, without brackets; or ''."""
    return f"{url}.find('^https?://([[][^]/?#]*|[^][/?#:]+)').find('[^/[]+$')"


# Each rule is one expression without variables: how long the element of a list may be is unknown to the API server's
# estimate of costs, which then takes it for endless.
_SELF: Final = host_of("self")
_PORT: Final = "self.find('^https?://[^/?#]*').find(':[0-9]+$')"
_IN_NEVER: Final = " || ".join(f"cidr('{network}').containsIP({_SELF})" for network in NEVER_NETWORKS)

URL_RULES: Final = (
    (
        f"self.matches('^https?://({_ANSWERED_ELSEWHERE}|{_HOST}(:[0-9]*)?([/?#]|$))')",
        "url must start with http:// or https:// and name a host, such as media.example.org or [2001:db8::1]",
    ),
    # Not within the authority alone: some readers take what stands before an @ in `host?@` or `host#@` for a user.
    (
        "!self.matches('^https?://[^/]*@')",
        "url must not contain a user name or password: there must be no @ before the path",
    ),
    (
        "!self.matches('[[:space:][:cntrl:]]')",
        "url must not contain spaces or control characters",
    ),
    (
        "!self.matches('^https?://[^/?#]*[^[:ascii:]]')",
        "url must write its host in ASCII: write xn--… for other letters, which shows what only looks alike",
    ),
    (
        (
            f"{_PORT} in ['', ':80', ':443'] || ({_PORT}.size() <= 6 && "
            f"int({_PORT}.substring(1)) >= 1024 && int({_PORT}.substring(1)) <= 65535)"
        ),
        "url must use port 80, 443, or one from 1024 to 65535",
    ),
    (
        f"isIP({_SELF}) || !{_SELF}.matches('^([^:]*[.])?([0-9]+|0[xX][0-9A-Fa-f]*)[.]*$')",
        "url must write an IPv4 address as four decimal numbers, such as 192.0.2.7",
    ),
    (
        f"!{_SELF}.contains(':') || isIP({_SELF})",
        "url must write an IPv6 address such as [2001:db8::1]; [::ffff:192.0.2.7] must be written as 192.0.2.7",
    ),
    (
        f"!{_SELF}.matches('(?i)^({_THIS_MACHINE})[.]*$')",
        "url must not name localhost: the job runs on another machine",
    ),
    (
        f"!{_SELF}.matches('(?i)^({_METADATA})[.]*$')",
        "url must not name the metadata service of a cloud",
    ),
    (
        f"!isIP({_SELF}) || !({_IN_NEVER})",
        "url must not have an address that is link-local, multicast, unspecified, or a cloud's metadata service",
    ),
)
