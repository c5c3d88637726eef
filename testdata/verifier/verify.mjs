#!/usr/bin/env node
// A verifier of receipts, status proofs and snapshots, written from docs/formats.md alone, with nothing but Node's own crypto.
//   node verify.mjs --policy FILE --receipt FILE [--status FILE] [--max-age SECONDS] [--now SECONDS] [--published-only] CERT
// prints "good", "published", or the reason why not; exits with 0, 1 (no) or 3 (not established).
import crypto from "node:crypto";
import fs from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";

class Refused extends Error {}
const refuse = (slug) => { throw new Refused(slug); };
const need = (condition, slug) => { if (!condition) refuse(slug); };
const otherwise = (slug, f) => { try { return f(); } catch (e) { throw new Refused(slug, { cause: e }); } };
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), crypto.createHash("sha256")).digest();
const ZERO = Buffer.from([0]), ONE = Buffer.from([1]);
const leafHash = (entry) => sha256(ZERO, entry), nodeHash = (l, r) => sha256(ONE, l, r);
const MAX63 = (1n << 63n) - 1n, MAX64 = (1n << 64n) - 1n;

// Text is handled as bytes: one character each (latin1).
const bytes = (text) => Buffer.from(text, "latin1"), text = (b) => b.toString("latin1");
function base64(s) {
  const b = Buffer.from(s, "base64");
  need(b.toString("base64") === s, "base64");
  return b;
}
function hash64(s) {
  const h = base64(s);
  need(h.length === 32, "hash");
  return h;
}
function decimal(s, most) {
  need(/^(0|[1-9][0-9]{0,19})$/.test(s) && BigInt(s) <= most, "decimal");
  return BigInt(s);
}
function utf8(s) { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes(s)); }
const SPACE = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;
function noteName(s) { // of a signature line, and, with its length, an origin
  const name = utf8(s);
  need(name !== "" && !/[\0-\x1f+]/.test(name) && !SPACE.test(name), "name");
  return s;
}
function keyName(s) { need(s.length <= 255 && !/[#\x7f]/.test(s), "name"); return noteName(s); }

// CBOR: one item in its one deterministic form. Integers are BigInt, byte strings Buffer, text strings String, maps Map.
function decodeCBOR(raw) {
  let at = 0;
  const take = (n) => { need(n <= raw.length - at, "cut"); at += n; return raw.subarray(at - n, at); };
  function item(depth) {
    need(depth < 16, "depth");
    const first = take(1)[0], major = first >> 5, info = first & 31;
    if (first === 0xf5) return true;
    need(info < 28 && major < 6, "type");
    let n = BigInt(info);
    if (info >= 24) {
      const size = 1 << (info - 24);
      n = BigInt("0x" + take(size).toString("hex"));
      need(n >= (size === 1 ? 24n : 1n << BigInt(4 * size)), "longer than needed");
    }
    const count = Number(n < 1n << 32n ? n : 1n << 32n);
    switch (major) {
      case 0: return n;
      case 1: return -1n - n;
      case 2: return take(count);
      case 3: return utf8(text(take(count)));
      case 4: need(count <= 1025, "elements"); return Array.from({ length: count }, () => item(depth + 1));
    }
    need(count <= 64, "pairs");
    const map = new Map();
    let last = null;
    for (let i = 0; i < count; i++) {
      const from = at, key = item(depth + 1), encoded = raw.subarray(from, at);
      need(typeof key === "bigint" && (last === null || Buffer.compare(last, encoded) < 0), "keys");
      last = encoded;
      map.set(Number(key), item(depth + 1));
    }
    return map;
  }
  const v = item(0);
  need(at === raw.length, "more");
  return v;
}

// The CDDL, as functions that tell whether a value is of a type.
const uint = (low = 0, high = MAX64) => (v) => typeof v === "bigint" && v >= BigInt(low) && v <= BigInt(high);
const bstr = (low = 0, high = Infinity) => (v) => Buffer.isBuffer(v) && v.length >= low && v.length <= high;
const many = (type, low = 0, high = 1025) => (v) => Array.isArray(v) && v.length >= low && v.length <= high && v.every(type);
const row = (...types) => (v) => Array.isArray(v) && v.length === types.length && types.every((t, i) => t(v[i]));
const table = (must, may = {}) => (v) => v instanceof Map && Object.keys(must).every((k) => v.has(Number(k))) &&
  [...v].every(([k, x]) => (must[k] ?? may[k] ?? (() => false))(x));
const hash = bstr(32, 32), id = bstr(16, 16);
const CUT_EFFECT = row(uint(), bstr(), uint(), uint(), uint(), uint(), hash);
const EFFECTS = table({ 10: uint(), 13: uint() }, {
  1: id, 2: uint(1), 3: uint(), 4: uint(1), 5: many(row(uint(), uint(), uint(0, 3)), 1, 1000), 6: hash, 7: many(id, 1), 8: uint(1), 9: hash,
  11: row(id, uint()), 12: id, 14: uint(1), 15: many(uint(), 1), 16: uint(1), 20: many(CUT_EFFECT, 1, 16) });
const OPERATION = row(uint(1, 1), uint(2, 2), table({ 1: uint(), 2: uint(), 3: bstr(), 4: EFFECTS }));
const EPOCH = row(uint(1, 1), uint(3, 3), table({ 1: row(bstr(), bstr()), 2: uint(), 3: hash, 4: uint(), 5: hash, 6: many(row(uint(), hash), 0, 256) }, { 7: hash }));
const published = table({ 1: uint() }, { 2: bstr(1, 16384), 3: hash });
// An operation of these numbers, and one of several.
const operation = (type, ...numbers) => (v) => Array.isArray(v) && v.length === 2 && numbers.some((n) => v[0] === BigInt(n)) && type(v[1]);
const either = (...types) => (v) => types.some((t) => t(v));
const rekeyed = table({ 1: uint(), 2: bstr(1, 16384), 3: hash, 4: uint(), 5: uint(-(1n << 63n), (1n << 63n) - 1n), 6: bstr(64, 1024) }, { 7: bstr(1, 2048), 8: hash });
const REKEY = operation((v) => rekeyed(v) && (!v.has(7) || sha256(v.get(7)).equals(v.get(3))), 3);
const PUBLISH = either(operation((v) => published(v) && v.has(2) !== v.has(3), 1), REKEY);
const changed = table({ 1: uint(1, 3), 2: uint(1, 6), 3: hash, 5: uint() }, { 4: uint(), 6: uint(), 7: uint(), 8: bstr(1, 2048) });
const CHANGE = either(operation((v) => changed(v) && v.has(4) === (v.get(2) === 1n), 2), REKEY,
  operation(table({ 1: hash, 2: uint(), 3: id }, { 4: hash }), 4), operation(table({ 1: hash, 2: uint() }, { 3: hash }), 6, 7));
const VOTE = row(uint(69, 69), table({ 1: uint(), 2: uint(1, 3), 3: hash }, { 4: many(row(hash, bstr()), 1, 16) }));
const cutOff = table({ 1: uint(5, 7), 2: bstr(), 3: uint(), 4: uint() });
const CUT = row(uint(73, 73), (v) => cutOff(v) && v.get(2).length === (v.get(1) === 7n ? 16 : 32));
const RECEIPT = table({ 1: uint(1, 1), 2: bstr(), 3: bstr() }, { 4: many(bstr(), 1) });
const STATUS = table({ 1: uint(1, 1), 2: bstr(), 3: uint(), 4: bstr(), 5: many(hash) }, { 6: row(uint(), bstr(), many(hash)) });
function decode(raw, type, slug, most = 65535) {
  return otherwise(slug, () => {
    need(raw.length <= most, "size");
    const v = decodeCBOR(raw);
    need(type(v), "type");
    return v;
  });
}

const KEYWORDS = ["log", "witness", "group", "quorum", "all", "any", "none"];
const URL_FORM = /^https?:\/\/([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!"$-~]*)?$/;
function vkey(s, type) {
  const m = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(s);
  const name = keyName(m[1]), key = base64(m[3]);
  need(key.length === 33 && key[0] === type, "type");
  const keyID = sha256(bytes(name + "\n"), key).subarray(0, 4);
  need(keyID.toString("hex") === m[2], "id");
  return { name, id: keyID, key: key.subarray(1) };
}
function parsePolicy(raw) {
  const p = otherwise("bad-policy", () => {
    const logs = [], witnesses = [], names = new Map(); // name -> its quorum
    let group = null, quorum = null;
    const all = text(raw);
    need(raw.length <= 65536 && !/[\0-\x08\x0b-\x1f\x7f]/.test(all) && all.endsWith("\n"), "bytes");
    const fresh = (name) => { need(!names.has(name) && !KEYWORDS.includes(name), "name"); return keyName(name); };
    const link = (url) => need(url === undefined || url.length <= 512 && URL_FORM.test(url), "url");
    for (const line of all.slice(0, -1).split("\n")) {
      const [word, ...a] = line.split(/[ \t]+/).filter((w) => w !== "");
      if (word === undefined || word.startsWith("#")) continue;
      if (word === "log") {
        need(a.length === 1 || a.length === 2, "arguments");
        logs.push(vkey(a[0], 1));
        link(a[1]);
      } else if (word === "witness") {
        need(a.length === 2 || a.length === 3, "arguments");
        names.set(fresh(a[0]), { k: 1, members: [a[0]] });
        witnesses.push(vkey(a[1], 4));
        link(a[2]);
      } else if (word === "group") {
        need(a.length >= 3 && group === null, "arguments");
        const [name, k, ...members] = a;
        need(new Set(members).size === members.length && members.every((m) => names.has(m)), "members");
        group = { k: k === "all" ? members.length : k === "any" ? 1 : Number(decimal(k, BigInt(members.length))), members };
        need(group.k >= 1, "k");
        names.set(fresh(name), group);
      } else if (word === "quorum") {
        need(a.length === 1 && quorum === null, "arguments");
        quorum = a[0] === "none" ? { k: 0 } : names.get(a[0]) ?? refuse("quorum");
      } else refuse("keyword");
    }
    need(quorum !== null, "no quorum");
    const distinct = (list) => new Set(list).size === list.length;
    if (quorum.k > 0) need(quorum.members.length === witnesses.length && (group === null || group === quorum), "some are no members");
    need(logs.length >= 1 && logs.length <= 32 && witnesses.length <= 16 && logs.every((l) => l.name === logs[0].name), "number");
    need(distinct([...logs, ...witnesses].map((k) => text(k.key))) && distinct(logs.map((k) => text(k.id))) && distinct(witnesses.map((k) => k.name)), "twice");
    return { origin: logs[0].name, logs, witnesses, quorum: quorum.k };
  });
  need(3 * p.quorum > 2 * p.witnesses.length, "policy-breaks-quorum");
  return p;
}

function parseNote(raw) {
  return otherwise("bad-checkpoint", () => {
    const all = text(raw), cut = all.indexOf("\n\n");
    need(raw.length <= 65536 && cut >= 0, "size");
    const body = all.slice(0, cut + 1), lines = all.slice(cut + 2).split("\n");
    const [origin, size, root, ...more] = body.slice(0, -1).split("\n");
    need(more.length === 0 && lines.pop() === "" && lines.length >= 1 && lines.length <= 100, "lines");
    need(origin.length <= 255, "origin");
    noteName(origin);
    const signatures = lines.map((line) => {
      const m = /^\xe2\x80\x94 ([^ ]+) ([^ ]+)$/s.exec(line), sig = base64(m[2]);
      need(sig.length >= 5, "signature");
      return { name: noteName(m[1]), id: sig.subarray(0, 4), sig: sig.subarray(4) };
    });
    return { body: bytes(body), origin, size: decimal(size, MAX63), root: hash64(root), signatures };
  });
}
const ED25519 = Buffer.from("302a300506032b6570032100", "hex");
function signedBy(key, message, signature) {
  const k = crypto.createPublicKey({ key: Buffer.concat([ED25519, key]), format: "der", type: "spki" });
  return crypto.verify(null, message, k, signature);
}
function trust(policy, note) { // when at least one honest member swore to the note's tree
  need(note.origin === policy.origin, "wrong-origin");
  const by = (k) => note.signatures.filter((s) => s.name === k.name && s.id.equals(k.id));
  let logged = false;
  for (const k of policy.logs) {
    const s = by(k);
    if (s.length === 0) continue;
    need(s.length === 1 && s[0].sig.length === 64 && signedBy(k.key, note.body, s[0].sig), "bad-checkpoint");
    logged = true;
  }
  need(logged, "no-log-signature");
  const times = [];
  for (const k of policy.witnesses) {
    const s = by(k);
    if (s.length === 0) continue;
    need(s.length === 1, "duplicate-cosigner");
    need(s[0].sig.length === 72, "bad-checkpoint");
    const t = s[0].sig.readBigUInt64BE(0);
    const message = Buffer.concat([bytes(`cosignature/v1\ntime ${t}\n`), note.body]);
    need(t >= 1n && t <= MAX63 && signedBy(k.key, message, s[0].sig.subarray(8)), "bad-checkpoint");
    times.push(t);
  }
  need(times.length >= policy.quorum, "quorum-not-reached");
  times.sort((a, b) => (a > b ? -1 : a < b ? 1 : 0));
  return times[policy.witnesses.length - policy.quorum];
}

function included(path, index, size, h, root) {
  if (index >= size) return false;
  let at = index, last = size - 1n;
  for (const p of path) {
    if (last === 0n) return false;
    if (at & 1n || at === last) {
      h = nodeHash(p, h);
      while (!(at & 1n) && at !== 0n) { at >>= 1n; last >>= 1n; }
    } else h = nodeHash(h, p);
    at >>= 1n; last >>= 1n;
  }
  return last === 0n && h.equals(root);
}
// proof parses a tlog-proof, trusts its checkpoint, and demands that the entry made of its extra data is included.
function proof(policy, raw, type, entryOf) {
  const [extra, index, path, rest] = otherwise("bad-proof-file", () => {
    const all = text(raw), cut = all.indexOf("\n\n");
    need(raw.length <= 137216 && cut >= 0, "size");
    const lines = all.slice(0, cut).split("\n");
    need(lines.shift() === "c2sp.org/tlog-proof@v1", "version");
    const value = (word, line) => { need(line.startsWith(word), word); return line.slice(word.length); };
    let data = null;
    if (lines[0].startsWith("extra ")) {
      data = base64(value("extra ", lines.shift()));
      need(data.length >= 1 && data.length <= 49000, "extra");
    }
    const at = decimal(value("index ", lines.shift()), MAX63 - 1n);
    need(lines.length <= 63, "path");
    return [data, at, lines.map(hash64), raw.subarray(cut + 2)];
  });
  const note = parseNote(rest);
  need(extra !== null, "bad-extra");
  const x = decode(extra, type, "bad-extra"), entry = entryOf(x), time = trust(policy, note);
  need(included(path, index, note.size, leafHash(entry), note.root), "not-included");
  return { x, entry, index, size: note.size, root: note.root, time };
}

const bitsOf = (chunk, leaf) => (chunk[Number(leaf % 1024n) >> 2] >> (2 * Number(leaf % 4n))) & 3;
function lastEpoch(p) {
  need(p.index === p.size - 1n, "epoch-not-last");
  const epoch = decode(p.entry, EPOCH, "not-an-epoch")[2];
  need(epoch.get(2) <= p.index, "epoch-mismatch");
  return epoch;
}
function status(policy, file, leaf) {
  const p = proof(policy, file, STATUS, (x) => x.get(2)), x = p.x, epoch = lastEpoch(p);
  need(leaf < p.index, "leaf-not-covered");
  const chunk = x.get(4), number = x.get(3);
  need(chunk.length === 256, "bad-chunk");
  need(number === leaf / 1024n, "wrong-chunk");
  need(included(x.get(5), number, (p.index + 1023n) / 1024n, leafHash(chunk), epoch.get(3)), "chunk-not-in-root");
  const bits = bitsOf(chunk, leaf);
  need(bits !== 0, "no-status");
  if (!x.has(6)) {
    need(bits === 1, "bad-cause");
    return { bits, time: p.time, cuts: [] };
  }
  const [at, entry, path] = x.get(6);
  need(included(path, at, p.size, leafHash(entry), p.root), "bad-cause");
  const op = decode(entry, OPERATION, "bad-cause")[2];
  const body = decode(op.get(3), (v) => CHANGE(v) || VOTE(v) || CUT(v), "bad-cause", 16384), changes = body[0] < 69n;
  need(at !== leaf, "bad-cause");
  const runs = (op.get(4).get(5) ?? []).filter(([first, count]) => changes && first <= leaf && leaf - first < count);
  const cuts = (op.get(4).get(20) ?? []).filter((cut) => !changes && cut[2] <= leaf && leaf < at);
  const given = [...runs.map((run) => run[2]), ...cuts.map(() => 3n)];
  need(given.length > 0, "bad-cause");
  need(given[0] === BigInt(bits), "cause-status-mismatch");
  return { bits, time: p.time, cuts };
}
function treeRoot(hashes) {
  if (hashes.length < 2) return hashes[0] ?? sha256();
  let k = 1;
  while (2 * k < hashes.length) k *= 2;
  return nodeHash(treeRoot(hashes.slice(0, k)), treeRoot(hashes.slice(k)));
}
function snapshot(policy, file, leaf) {
  const bad = "bad-snapshot-file";
  const rest = otherwise(bad, () => {
    const m = /^quorate\/snapshot\/1\n([0-9]+)\n/.exec(text(file.subarray(0, 100)));
    const length = Number(decimal(m[1], 137216n)), begin = m[0].length;
    need(begin + length <= file.length, "cut");
    return { proof: file.subarray(begin, begin + length), chunks: file.subarray(begin + length) };
  });
  const p = proof(policy, rest.proof, RECEIPT, (x) => Buffer.concat([x.get(2), x.get(3)])), epoch = lastEpoch(p);
  const count = (p.index + 1023n) / 1024n;
  need(BigInt(rest.chunks.length) === 256n * count, bad);
  const chunks = Array.from({ length: Number(count) }, (_, i) => rest.chunks.subarray(256 * i, 256 * i + 256));
  need(treeRoot(chunks.map(leafHash)).equals(epoch.get(3)), "wrong-status-root");
  need(leaf < p.index, "leaf-not-covered");
  const bits = bitsOf(chunks[Number(leaf / 1024n)], leaf);
  need(bits !== 0, "no-status");
  return { bits, time: p.time, cuts: [] };
}

// verdict takes the files' bytes, the certificate as DER, and times in seconds; status is null for none.
export function verdict(policyFile, receipt, statusFile, cert, now, maxAge, publishedOnly) {
  try {
    const policy = parsePolicy(policyFile);
    need(cert.length >= 1 && cert.length <= 8192, "bad-certificate-file");
    const p = proof(policy, receipt, RECEIPT, (x) => Buffer.concat([x.get(2), cert, x.get(3)]));
    const op = decode(p.entry, OPERATION, "not-a-publication")[2];
    const publication = decode(op.get(3), PUBLISH, "not-a-publication", 16384)[1];
    need(publication.get(2)?.equals(cert), "wrong-certificate");
    if (publishedOnly) return "published";
    need(statusFile !== null, "status-not-checked");
    const { bits, time, cuts } = (text(statusFile.subarray(0, 17)) === "quorate/snapshot/" ? snapshot : status)(policy, statusFile, p.index);
    const vouched = (cut) => (cut[0] === 5n ? op.get(4).get(6) : cut[0] === 7n ? op.get(4).get(1) : undefined)?.equals(cut[1]);
    need(cuts.length === 0 || cuts.some(vouched), "bad-cause");
    need(bits !== 3, "revoked");
    need(BigInt(now) - time <= BigInt(maxAge), "stale");
    need(time - BigInt(now) <= 300n, "from-the-future");
    need(bits !== 2, "suspended");
    const [from, until] = otherwise("bad-certificate-file", () => {
      const x = new crypto.X509Certificate(cert);
      return [x.validFrom, x.validTo].map((t) => { const s = Date.parse(t) / 1000; need(!Number.isNaN(s), "time"); return s; });
    });
    need(now >= from, "not-yet-valid");
    need(now <= until, "validity-ended");
    return "good";
  } catch (e) {
    if (e instanceof Refused) return e.message;
    throw e;
  }
}

function main(args) {
  const options = { "--now": Math.floor(Date.now() / 1000), "--max-age": 86400, "--status": null };
  while (args.length > 0) {
    const name = args.shift();
    if (name === "--published-only") options[name] = true;
    else if (name === "--now" || name === "--max-age") options[name] = Number(args.shift());
    else if (name.startsWith("--")) options[name] = fs.readFileSync(args.shift());
    else options.cert = fs.readFileSync(name);
  }
  const pem = [...text(options.cert).matchAll(/-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----/gs)];
  const isPEM = options.cert.includes("-----BEGIN");
  const cert = !isPEM ? options.cert : pem.length === 1 ? Buffer.from(pem[0][1], "base64") : Buffer.alloc(0);
  const slug = verdict(options["--policy"], options["--receipt"], options["--status"], cert, options["--now"], options["--max-age"], options["--published-only"]);
  console.log(slug);
  const unknown = ["stale", "from-the-future", "status-not-checked", "leaf-not-covered"];
  return slug === "good" || slug === "published" ? 0 : unknown.includes(slug) ? 3 : 1;
}
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exit(main(process.argv.slice(2)));
