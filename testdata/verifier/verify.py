#!/usr/bin/python3
"""A second verifier of receipts, status proofs and snapshots, from docs/formats.md alone. Prints good, published or the slug of
the first rule broken; exits 0, 1 (no) or 3 (not known). A test deletes each line marked "# check" and must notice."""
import argparse, base64, calendar, contextlib, hashlib, re, sys, time
from cryptography import exceptions, x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
sha256 = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
b64, unb64 = lambda data: base64.b64encode(data).decode(), base64.b64decode
class Refused(Exception): pass  # its text is the slug
def need(ok, slug):
    if not ok: raise Refused(slug)
@contextlib.contextmanager
def otherwise(slug):  # for input that cannot be read at all
    try: yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, exceptions.InvalidSignature):
        raise Refused(slug)
# --- CBOR: integers, byte strings, arrays and maps; what a verifier reads has nothing else.
def item(b, at):  # decodes leniently; gives the value and where it ends
    major, n, at = b[at] >> 5, b[at] & 31, at + 1
    size = {24: 1, 25: 2, 26: 4, 27: 8}[n] if n >= 24 else 0
    n, at = int.from_bytes(b[at:at + size], "big") if size else n, at + size
    if major < 3: return (b[at:at + n], at + n) if major == 2 else (-1 - n if major else n, at)
    items = []
    for _ in range({4: n, 5: 2 * n}[major]):
        value, at = item(b, at)
        items.append(value)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at
def encode(v):
    major, n = {int: 0, bytes: 2, list: 4, dict: 5}[type(v)], v if type(v) is int else len(v)
    if major == 0 and v < 0: major, n = 1, -1 - v
    size = next(size for size in (0, 1, 2, 4, 8) if n < (2 ** (8 * size) if size else 24))
    head = bytes([major << 5 | {0: n, 1: 24, 2: 25, 4: 26, 8: 27}[size]]) + n.to_bytes(8, "big")[8 - size:]
    pairs = sorted(encode(k) + encode(x) for k, x in v.items()) if major == 5 else map(encode, v) if major == 4 else ()
    return head + (v if major == 2 else b"".join(pairs))
def decode(b, rule, slug):  # the canonical check; sizes are checked by the file's limits and the rules
    with otherwise(slug):
        v, _ = item(b, 0)
        need(rule(v) and encode(v) == b, slug)  # check
    return v
# A rule is a function that tells whether a value is as the CDDL says.
uint = lambda low=0, high=2**64 - 1: lambda v: type(v) is int and low <= v <= high
bstr = lambda low=0, high=2**32: lambda v: type(v) is bytes and low <= len(v) <= high
many = lambda rule, low=0, high=1025: lambda v: type(v) is list and low <= len(v) <= high and all(map(rule, v))
row = lambda *rules: lambda v: type(v) is list and len(v) == len(rules) and all(r(x) for r, x in zip(rules, v))
table = lambda must, may: lambda v: must.keys() <= v.keys() and all({**must, **may}[k](x) for k, x in v.items())
HASH, ID = bstr(32, 32), bstr(16, 16)
OPERATION = row(uint(1, 1), uint(2, 2), table({1: uint(), 2: uint(), 3: bstr(0, 16384), 4: table(
    {10: uint(), 13: uint()}, {
        1: ID, 2: uint(1), 3: uint(), 4: uint(1), 5: many(row(uint(), uint(), uint(0, 3)), 1, 1000), 6: HASH,
        7: many(ID, 1), 8: uint(1), 9: HASH, 11: row(ID, uint()), 12: ID, 14: uint(1), 15: many(uint(), 1), 16: uint(1),
        20: many(row(uint(), bstr(), uint(), uint(), uint(), uint(), HASH), 1, 16)})}, {}))
EPOCH = row(uint(1, 1), uint(3, 3), table({1: row(bstr(), bstr()), 2: uint(), 3: HASH, 4: uint(), 5: HASH,
                                           6: many(row(uint(), HASH), 0, 256)}, {7: HASH}))
either = lambda *rules: lambda v: any(r(v) for r in rules if v[0] in r.ops)
def body(rule, *ops):  # an operation of these numbers
    whole = lambda v: type(v) is list and len(v) == 2 and type(v[0]) is int and v[0] in ops and rule(v[1])
    whole.ops = ops
    return whole
REKEY = body(lambda v: table({1: uint(), 2: bstr(1, 16384), 3: HASH, 4: uint(), 5: uint(-2**63, 2**63 - 1), 6: bstr(64, 1024)}, {
    7: bstr(1, 2048), 8: HASH})(v) and sha256(v.get(7, b"")) in (v[3], sha256()), 3)
PUBLISH = either(body(lambda v: table({1: uint()}, {2: bstr(1, 16384), 3: HASH})(v) and len(v) == 2, 1), REKEY)
CHANGE = either(body(lambda v: table({1: uint(1, 3), 2: uint(1, 6), 3: HASH, 5: uint()}, {
    4: uint(), 6: uint(), 7: uint(), 8: bstr(1, 2048)})(v) and (4 in v) == (v[2] == 1), 2), REKEY,
    body(table({1: HASH, 2: uint(), 3: ID}, {4: HASH}), 4), body(table({1: HASH, 2: uint()}, {3: HASH}), 6, 7))
VOTE = body(table({1: uint(), 2: uint(1, 3), 3: HASH}, {4: many(row(HASH, bstr()), 1, 16)}), 69)
CUT = body(lambda v: table({1: uint(5, 7), 2: bstr(), 3: uint(), 4: uint()}, {})(v) and len(v[2]) == (16 if v[1] == 7 else 32), 73)
RECEIPT = table({1: uint(1, 1), 2: bstr(), 3: bstr()}, {4: many(bstr(), 1)})
STATUS = table({1: uint(1, 1), 2: bstr(), 3: uint(), 4: bstr(), 5: many(HASH)}, {6: row(uint(), bstr(), many(HASH))})
# --- Text: parsed leniently, then written again, which must give what was there.
name_ok = lambda s: s != "" and not re.search(r"[\0-\x1f\s+]", s)
key_name_ok = lambda s: name_ok(s) and not re.search("[#\x7f]", s) and len(s.encode()) <= 255
URL = r"(?=.{1,512}$)https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!\"$-~]*)?"
@otherwise("bad-policy")
def parse_policy(data, bad="bad-policy"):  # gives log keys, cosigner keys: (name, note key id, public key); the quorum
    def vkey(text, kind):
        name, id, key = text.split("+", 2)
        key = unb64(key)
        need(text == "%s+%s+%s" % (name, id, b64(key)) and len(key) == 33 and key[0] == kind, bad)  # check
        need(key_name_ok(name) and id == sha256(name.encode(), b"\n", key)[:4].hex(), bad)  # check
        return name, bytes.fromhex(id), key[1:]
    need(len(data) <= 65536 and data[-1:] == b"\n" and not re.search(rb"[\0-\x08\x0b-\x1f\x7f]", data), bad)  # check
    logs, witnesses, groups, chosen, keywords = [], [], [], [], "log witness group quorum all any none".split()
    quorums = {**dict.fromkeys(keywords), "none": (0, [])}
    for line in filter(re.compile(rb"[ \t]*[^ \t#]").match, data.split(b"\n")):
        word, name, *rest = re.findall("[^ \t]+", line.decode())
        need(word not in ("witness", "group") or key_name_ok(name) and name not in quorums, bad)  # check
        if word == "log":
            logs.append(vkey(name, 1))
        elif word == "witness":
            witnesses.append(vkey(rest.pop(0), 4))
            quorums[name] = 1, [name]
        elif word == "group":
            k, *members = rest
            need({*members} <= quorums.keys() - {*keywords} and len({*members}) == len(members), bad)  # check
            quorums[name] = {"all": len(members), "any": 1}.get(k) or int(k), members
            need(k in ("all", "any", str(quorums[name][0])) and 1 <= quorums[name][0] <= len(members), bad)  # check
            groups, rest = groups + [name], []
        else:
            need(word == "quorum" and name in quorums and not rest, bad)  # check
            chosen.append(name)
        need(len(rest) <= 1 and all(re.fullmatch(URL, url) for url in rest), bad)  # check
    (q, members), n, keys = quorums[chosen[0]], len(witnesses), logs + witnesses
    need(len(chosen) == 1 and len(groups) <= 1 and 1 <= len(logs) <= 32 and n <= 16, bad)  # check
    need(q == 0 or len(members) == n and groups in ([], chosen), bad)  # check
    need(len({x[0] for x in logs}) == 1 and len({x[1] for x in logs}) == len(logs), bad)  # check
    need(len({x[0] for x in witnesses}) == n and len({x[2] for x in keys}) == len(keys), bad)  # check
    need(3 * q > 2 * n, "policy-breaks-quorum")  # check
    return logs, witnesses, q
@otherwise("bad-checkpoint")
def parse_note(data, bad="bad-checkpoint"):  # gives body, origin, size, root, [(name, note key id and signature)]
    text, _, rest = data.decode().partition("\n\n")
    origin, size, root = text.split("\n")
    size, root = int(size), unb64(root)
    sigs = [(name, unb64(sig)) for _, name, sig in (line.split(" ") for line in rest.split("\n")[:-1])]
    body = "%s\n%d\n%s\n" % (origin, size, b64(root))
    need(data.decode() == body + "\n" + "".join("\u2014 %s %s\n" % (n, b64(s)) for n, s in sigs), bad)  # check
    need(len(data) <= 65536 and 1 <= len(sigs) <= 100 and 0 <= size < 2**63 and len(root) == 32, bad)  # check
    need(name_ok(origin) and len(origin.encode()) <= 255 and all(name_ok(n) and s[4:] for n, s in sigs), bad)  # check
    return body.encode(), origin, size, root, sigs
@otherwise("bad-proof-file")
def parse_proof(data, bad="bad-proof-file"):  # gives extra data, index, path, note
    text, _, note = data.partition(b"\n\n")
    _, *lines = text.decode("latin-1").split("\n")
    extra = unb64(lines.pop(0)[6:]) if lines[0].startswith("extra ") else b""
    index, path = int(lines[0][6:]), [unb64(line) for line in lines[1:]]
    again = ["c2sp.org/tlog-proof@v1", *["extra " + b64(extra)] * (extra != b""), "index %d" % index, *map(b64, path)]
    need(data == "\n".join(again).encode() + b"\n\n" + note and len(data) <= 137216, bad)  # check
    need(len(extra) <= 49000 and 0 <= index < 2**63 - 1 and len(path) <= 63 and {*map(len, path)} <= {32}, bad)  # check
    return extra, index, path, parse_note(note)

# --- Proofs, and the verdict.
def included(index, size, leaf, path, root):
    at, last, h = index, size - 1, leaf
    for p in path:
        if last == 0: return False  # check
        h = sha256(b"\1", p, h) if at & 1 or at == last else sha256(b"\1", h, p)
        while at == last and at and not at & 1: at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    return index < size and last == 0 and h == root  # check
def signed(key, sig, data):
    with otherwise("bad-checkpoint"): Ed25519PublicKey.from_public_bytes(key).verify(sig, data)
def proof(policy, file, rule, entry):  # gives the extra data and index; the checkpoint's size, root and time
    (logs, witnesses, q), (extra, index, path, note), times = policy, parse_proof(file), []
    (body, origin, size, root, sigs), extra = note, decode(extra, rule, "bad-extra")
    of = lambda key: [sig[4:] for name, sig in sigs if (name, sig[:4]) == key[:2]]
    need(origin == logs[0][0], "wrong-origin")  # check
    for key in logs:
        need(len(of(key)) <= 1, "bad-checkpoint")  # check
        for sig in of(key): signed(key[2], sig, body)  # check
    need(any(map(of, logs)), "no-log-signature")  # check
    for key in witnesses:
        need(len(of(key)) <= 1, "duplicate-cosigner")  # check
        for sig in of(key):
            times.append(int.from_bytes(sig[:8], "big"))
            need(0 < times[-1] < 2**63, "bad-checkpoint")  # check
            signed(key[2], sig[8:], b"cosignature/v1\ntime %d\n" % times[-1] + body)  # check
    need(len(times) >= q, "quorum-not-reached")  # check
    need(included(index, size, sha256(b"\0", entry(extra)), path, root), "not-included")  # check
    return extra, index, size, root, sorted(times, reverse=True)[len(witnesses) - q]
def status(policy, file, leaf):  # gives the status, its time, and the cut-offs that may be its cause
    x, index, size, root, when = proof(policy, file, STATUS, lambda x: x[2])
    need(index == size - 1, "epoch-not-last")  # check
    epoch = decode(x[2], EPOCH, "not-an-epoch")[2]
    need(epoch[2] <= index, "epoch-mismatch")  # check
    need(leaf < index, "leaf-not-covered")  # check
    need(len(x[4]) == 256, "bad-chunk")  # check
    need(x[3] == leaf // 1024, "wrong-chunk")  # check
    need(included(x[3], (index + 1023) // 1024, sha256(b"\0", x[4]), x[5], epoch[3]), "chunk-not-in-root")  # check
    bits = x[4][leaf % 1024 // 4] >> 2 * (leaf % 4) & 3
    need(bits != 0, "no-status")  # check
    need(bits == 1 or 6 in x, "bad-cause")  # check
    cuts = []
    if 6 in x:
        need(included(x[6][0], size, sha256(b"\0", x[6][1]), x[6][2], root), "bad-cause")  # check
        change = decode(x[6][1], OPERATION, "bad-cause")[2]
        changes = decode(change[3], lambda v: CHANGE(v) or VOTE(v) or CUT(v), "bad-cause")[0] < 69  # check
        need(x[6][0] != leaf, "bad-cause")  # check
        given = [run[2] for run in change[4].get(5, []) if changes and run[0] <= leaf < run[0] + run[1]]
        cuts = [cut for cut in change[4].get(20, []) if not changes and cut[2] <= leaf < x[6][0]]
        given += [3 for _ in cuts]
        need(given, "bad-cause")  # check
        need(given[0] == bits, "cause-status-mismatch")  # check
    return bits, when, cuts
def tree(hashes):  # the Merkle root over leaf hashes
    if len(hashes) < 2: return hashes[0] if hashes else sha256()
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1", tree(hashes[:k]), tree(hashes[k:]))
def snapshot(policy, file, leaf, bad="bad-snapshot-file"):  # as status, of a file with all chunks
    with otherwise(bad):
        _, length, rest = file.split(b"\n", 2)
        n = int(length)
    need(file.startswith(b"quorate/snapshot/1\n%d\n" % n) and 0 <= n <= 137216 and n <= len(rest), bad)  # check
    x, index, size, root, when = proof(policy, rest[:n], RECEIPT, lambda x: x[2] + x[3])
    need(index == size - 1, "epoch-not-last")  # check
    epoch = decode(x[2] + x[3], EPOCH, "not-an-epoch")[2]
    need(epoch[2] <= index, "epoch-mismatch")  # check
    chunks = [rest[at:at + 256] for at in range(n, len(rest), 256)]
    need(len(rest) - n == (index + 1023) // 1024 * 256, bad)  # check
    need(tree([sha256(b"\0", c) for c in chunks]) == epoch[3], "wrong-status-root")  # check
    need(leaf < index, "leaf-not-covered")  # check
    bits = chunks[leaf // 1024][leaf % 1024 // 4] >> 2 * (leaf % 4) & 3
    need(bits != 0, "no-status")  # check
    return bits, when, []
def verdict(policy, receipt_file, status_file, cert, now, max_age, published_only):  # times in seconds
    try:
        policy = parse_policy(policy)
        need(1 <= len(cert) <= 8192, "bad-certificate-file")  # check
        x, leaf, *_ = proof(policy, receipt_file, RECEIPT, lambda x: x[2] + cert + x[3])
        published = decode(x[2] + cert + x[3], OPERATION, "not-a-publication")[2]
        need(decode(published[3], PUBLISH, "not-a-publication")[1].get(2) == cert, "wrong-certificate")  # check
        if published_only: return "published"
        need(status_file is not None, "status-not-checked")  # check
        kind = snapshot if status_file.startswith(b"quorate/snapshot/") else status
        bits, when, cuts = kind(policy, status_file, leaf)
        who = {5: published[4].get(6), 7: published[4].get(1)}
        need(cuts == [] or any(cut[1] == who.get(cut[0]) for cut in cuts), "bad-cause")  # check
        need(bits != 3, "revoked")  # check
        need(now - when <= max_age, "stale")  # check
        need(when - now <= 300, "from-the-future")  # check
        need(bits != 2, "suspended")  # check
        with otherwise("bad-certificate-file"): dates = x509.load_der_x509_certificate(cert)
        need(now >= calendar.timegm(dates.not_valid_before.timetuple()), "not-yet-valid")  # check
        need(now <= calendar.timegm(dates.not_valid_after.timetuple()), "validity-ended")  # check
        return "good"
    except Refused as refused:
        return str(refused)

if __name__ == "__main__":
    args, now = argparse.ArgumentParser(), int(time.time())
    for n in ("--policy", "--receipt", "--status", "cert"): args.add_argument(n, type=lambda n: open(n, "rb").read())
    for n, default in (("--now", now), ("--max-age", 86400)): args.add_argument(n, type=int, default=default)
    args.add_argument("--published-only", action="store_true")
    a = args.parse_args()
    pem = re.findall(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", a.cert, re.S)
    cert = a.cert if b"-----BEGIN" not in a.cert else unb64(pem[0]) if len(pem) == 1 else b""
    slug = verdict(a.policy, a.receipt, a.status, cert, a.now, a.max_age, a.published_only)
    print(slug)
    unknown = ("stale", "from-the-future", "status-not-checked", "leaf-not-covered")
    sys.exit(0 if slug in ("good", "published") else 3 if slug in unknown else 1)
