# fmt: off
# ruff: noqa
# The judge, kept as it was given to us: a change to it would change what it proves.
"""Attack harness.  python harness.py module:function [--only prefix] [--skip-benign] [--json out.json]
The adapter runs in a 'host' process (stands for the service): secrets are in its environment and globals.  The harness
owns listeners, marker files and judges every case from outside.  Only descendants of this process are ever killed."""
import sys, os, json, socket, threading, time, secrets, select, signal, ctypes, argparse, collections, shutil, stat, importlib, math
HERE = os.path.dirname(os.path.abspath(__file__))
def host(adapter, fd, envtok):
    global HOST_SECRET; HOST_SECRET = envtok
    sys.path.insert(0, HERE); s = socket.socket(fileno=fd); f = s.makefile('rwb')
    mod, fn = adapter.split(':'); run = getattr(importlib.import_module(mod), fn)
    dj, lj = json.dumps, json.loads
    try: run("def main(d):\n    return {'warm':1}", {}, 10, 512)
    except BaseException as e: pass
    f.write(b'{"ready":1}\n'); f.flush()
    while True:
        l = f.readline()
        if not l: os._exit(0)
        q = json.loads(l); t = time.perf_counter()
        try: r = run(q['code'], q['input'], q['timeout_s'], q['memory_mb'])
        except BaseException as e:
            if isinstance(e, (KeyboardInterrupt, SystemExit)): r = {'status': 'ADAPTER_RAISED', 'error': type(e).__name__, 'ESCAPED': 1}
            else: r = {'status': 'ADAPTER_RAISED', 'error': f'{type(e).__name__}: {str(e)[:300]}'}
        out = {'el': time.perf_counter() - t}
        try:
            d = json.dumps(r, allow_nan=False, ensure_ascii=False).encode('utf-8'); out['r'] = r; out['size'] = len(d)
            if len(d) > 13 << 20: out['r'] = {'status': 'TOO_BIG'}
        except BaseException as e: out['nonjson'] = f'{type(e).__name__}: {str(e)[:100]}'; out['r'] = {'status': str(r.get('status')) if isinstance(r, dict) else '?', 'repr': '' }
        try: f.write(json.dumps(out).encode() + b'\n'); f.flush()
        except BaseException: os._exit(3)
if len(sys.argv) > 1 and sys.argv[1] == '--host': host(sys.argv[2], int(sys.argv[3]), os.environ['SAFEEXEC_SECRET']); sys.exit()
import subprocess, psutil
ap = argparse.ArgumentParser(); ap.add_argument('adapter'); ap.add_argument('--only', default=''); ap.add_argument('--skip-benign', action='store_true'); ap.add_argument('--skip', default=''); ap.add_argument('--json'); ap.add_argument('-v', action='store_true'); ap.add_argument('--attacks', default=HERE + '/attacks.jsonl')
args = ap.parse_args()
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)                       # subreaper: orphans come to us
me = psutil.Process(); GRACE = 2.5
T = f'/tmp/sbx_{os.getpid()}'; os.mkdir(T); os.chmod(T, 0o777); os.mkdir(T + '/mnt')
FT, ET = 'FILETOK_' + secrets.token_hex(6), 'ENVTOK_' + secrets.token_hex(6)
open(T + '/secret.txt', 'w').write(FT + '\n'); open(T + '/secretmod.py', 'w').write(f"X='{FT}'\n")
hits = collections.Counter()
def serve(s, name, dgram=False):
    while True:
        try:
            if dgram: s.recvfrom(100)
            else: c, _ = s.accept(); c.close()
            hits[name] += 1
        except OSError: return
tcp = socket.create_server(('127.0.0.1', 0)); udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('127.0.0.1', 0))
un = socket.socket(socket.AF_UNIX); un.bind(T + '/u.sock'); os.chmod(T + '/u.sock', 0o777); un.listen(8); ab = socket.socket(socket.AF_UNIX); ABS = f'sbx{os.getpid()}'; ab.bind('\0' + ABS); ab.listen(8)
for s, n, dg in ((tcp, 'tcp', 0), (udp, 'udp', 1), (un, 'unix', 0), (ab, 'abstract', 0)): threading.Thread(target=serve, args=(s, n, dg), daemon=True).start()
def kids():
    try: ks = me.children(recursive=True)
    except psutil.Error: return []
    r = []
    for p in ks:
        try:
            if p.status() != psutil.STATUS_ZOMBIE: r.append(p)
        except psutil.Error: pass
    return r
def rss(ps):
    t = 0
    for p in ps:
        try:
            for l in open(f'/proc/{p.pid}/status'):
                if l.startswith(('RssAnon', 'RssShmem')): t += int(l.split()[1])
        except OSError: pass
    return t / 1024
def cpu(ps):
    t = 0
    for p in ps:
        try: x = p.cpu_times(); t += x.user + x.system
        except psutil.Error: pass
    return t
class Host:
    def start(s):
        a, b = socket.socketpair(); env = dict(os.environ, SAFEEXEC_SECRET=ET)
        s.p = subprocess.Popen([sys.executable, HERE + '/harness.py', '--host', args.adapter, str(b.fileno()), ], env=env, pass_fds=[b.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
        b.close(); s.s = a; s.buf = b''; s.recv(90); time.sleep(0.3); s.base = len(kids()); s.n = getattr(s, 'n', 0) + 1
    def recv(s, t):
        end = time.time() + t
        while b'\n' not in s.buf:
            left = end - time.time()
            if left <= 0: return 'hung'
            r, _, _ = select.select([s.s], [], [], min(left, .05)); 
            s.peak = max(getattr(s, 'peak', 0), rss(kids()))
            if r:
                try: d = s.s.recv(1 << 20)
                except OSError: d = b''
                if not d: return 'died'
                s.buf += d
        l, s.buf = s.buf.split(b'\n', 1); 
        try: return json.loads(l)
        except ValueError: return 'corrupted'
    def call(s, c):
        s.peak = 0
        try: s.s.sendall(json.dumps({k: c[k] for k in ('code', 'input', 'timeout_s', 'memory_mb')}).encode() + b'\n')
        except OSError: return 'died'
        return s.recv(c['timeout_s'] + GRACE + 3)
    def stop(s):
        for _ in range(5):
            ks = kids()
            if not ks: break
            for p in ks:
                try: os.kill(p.pid, signal.SIGCONT); os.kill(p.pid, signal.SIGKILL)
                except OSError: pass
            s.p.wait()
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0: break
                except ChildProcessError: break
            time.sleep(.05)
        s.s.close()
H = Host(); H.start()
def sub(o, m):
    s = json.dumps(o)
    for k, v in m.items(): s = s.replace(k, str(v))
    return json.loads(s)
R = []; t00 = time.time()
atk = [json.loads(l) for l in open(args.attacks)]
for a in atk:
    if args.only and not any(a['id'].startswith(o) for o in args.only.split(',')): continue
    if args.skip and any(a['id'].startswith(o) for o in args.skip.split(',')): continue
    mk = f"{T}/marker_{a['id']}"; shmn = f"sbx_{os.getpid()}_{a['id']}"; vic = T + '/victim.txt'
    open(vic, 'w').write('victim'); os.chmod(vic, 0o666); vst = os.stat(vic)
    rnd = secrets.token_hex(6)
    m = {'@@SECRET@@': T + '/secret.txt', '@@MARKER@@': mk, '@@DIR@@': T, '@@SHM@@': '/dev/shm/' + shmn, '@@SHMNAME@@': shmn, '@@VICTIM@@': vic, '@@TCP@@': tcp.getsockname()[1], '@@UDP@@': udp.getsockname()[1], '@@UNIX@@': T + '/u.sock', '@@ABSTRACT@@': ABS, '@@HOSTPID@@': H.p.pid, '@@RAND@@': rnd, '@@HOSTNAME@@': socket.gethostname()}
    c = sub(a, m); hits.clear(); why = []; base_rss = rss(kids())
    if 'pre' in c: H.call(dict(c['pre'], timeout_s=5, memory_mb=256))
    t = time.time(); o = H.call(c); el = time.time() - t; st = None
    if isinstance(o, str): why.append('host_' + o)
    else:
        r = o.get('r') or {}; st = r.get('status'); txt = json.dumps(r)
        if o.get('nonjson'): why.append('nonjson: ' + o['nonjson'])
        if o.get('size', 0) > 12 << 20: why.append(f"result too big {o['size']>>20} MB")
        if FT in txt or ET in txt or (c.get('secret') and c['secret'] in txt): why.append('secret leaked')
        rv = r.get('return_value'); 
        if isinstance(rv, dict) and rv.get('pwned'): why.append('pwned flag')
        for k, v in r.items():
            if k not in ('return_value', 'stdout', 'stderr', 'error', 'traceback', 'errors') and ('FORGED' in k or 'FORGED' in json.dumps(v) or (k == 'execution_time' and (not isinstance(v, (int, float)) or v < 0 or v > 1000))): why.append('forged field ' + k)
        if r.get('ESCAPED'): why.append('control-flow exception escaped into host')
        if el > c['timeout_s'] + GRACE: why.append(f'late {el:.1f}s')
        if isinstance(o.get('el'), (int, float)) and o['el'] < 0: pass
    time.sleep(.02)
    for p in (mk, '/dev/shm/' + shmn):
        if os.path.lexists(p):
            why.append('marker'); 
            try: shutil.rmtree(p) if os.path.isdir(p) and not os.path.islink(p) else os.unlink(p)
            except OSError: pass
    try:
        v = os.stat(vic)
        if v.st_size != vst.st_size or v.st_mode != vst.st_mode or v.st_mtime != vst.st_mtime or v.st_ino != vst.st_ino: why.append('victim file changed')
    except OSError: why.append('victim file gone')
    if hits: why.append('listener ' + str(dict(hits)))
    if H.peak - base_rss > c['memory_mb'] + c.get('slack_mb', 250): why.append(f'memory +{H.peak-base_rss:.0f} MB')
    if not isinstance(o, str):
        t = time.time()
        while len(kids()) > H.base and time.time() - t < 1.2: time.sleep(.05)
        if len(kids()) > H.base: why.append(f'{len(kids())-H.base} process(es) left alive')
        if (el > .9 * c['timeout_s'] or c['category'] in ('resource', 'process')):
            c0 = cpu(kids()); time.sleep(.3)
            if cpu(kids()) - c0 > .2: why.append('still burning CPU after the answer')
    if 'next' in c and not any(w.startswith('host_') for w in why):
        o2 = H.call(dict(c['next'], timeout_s=5, memory_mb=512))
        if isinstance(o2, str): why.append('next run: host_' + o2)
        else:
            r2 = o2.get('r') or {}
            try: ok = r2.get('status') == 'success' and eval(c['next']['expect'], {'r': r2.get('return_value'), 'abs': abs, 'len': len})
            except Exception as e: ok = False
            if not ok: why.append('next run polluted: ' + json.dumps(r2)[:150])
    if why: H.stop(); H.start()
    res = 'SUCCEEDED' if why else 'errored' if st == 'ADAPTER_RAISED' else 'blocked'
    R.append(dict(id=a['id'], category=a['category'], result=res, why=why, status=st, el=round(el, 3), err=(o.get('r') or {}).get('error') if isinstance(o, dict) else None))
    if args.v or why: print(f"{res:9} {a['id']:26} {str(st):18} {el:5.2f}s {'; '.join(why)[:160]}", flush=True)
B = []
if not args.skip_benign:
    for l in open(HERE + '/benign.jsonl'):
        b = json.loads(l); o = H.call(b); r = o.get('r') if isinstance(o, dict) else {'status': o}
        if isinstance(o, dict) and o.get('nonjson'): ok, e = False, 'result not strict JSON: ' + o['nonjson']
        else:
            try: ok = r.get('status') == 'success' and bool(eval(b['expect'], {'__builtins__': __builtins__, 'r': r.get('return_value')})); e = None if ok else json.dumps(r)[:260]
            except Exception as x: ok, e = False, f'{x!r} {json.dumps(r)[:200]}'
        B.append(dict(id=b['id'], ok=ok, e=e))
        if not ok: print('BENIGN FAILED', b['id'], e, flush=True)
        if isinstance(o, str): H.stop(); H.start()
H.stop(); shutil.rmtree(T, ignore_errors=True)
cat = collections.OrderedDict()
for x in R: cat.setdefault(x['category'], collections.Counter())[x['result']] += 1
tot = collections.Counter(x['result'] for x in R)
print(f"\n== {args.adapter}: attacks {len(R)}: succeeded {tot['SUCCEEDED']}, blocked {tot['blocked']}, errored {tot['errored']}; benign {sum(b['ok'] for b in B)}/{len(B)}; {time.time()-t00:.0f}s, host restarts {H.n-1}")
for k, v in cat.items(): print(f"   {k:15} " + ' '.join(f'{a}={b}' for a, b in sorted(v.items())))
if args.json: json.dump(dict(adapter=args.adapter, attacks=R, benign=B), open(args.json, 'w'), indent=0)
