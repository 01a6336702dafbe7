"""history.py N: N commits on main, as a stream for git fast-import."""
import random
import sys

random.seed(3)
files = {'dir%d/file%d.c' % (i % 7, i): ['line %d of file %d' % (k, i) for k in range(300)]
         for i in range(40)}
for commit in range(int(sys.argv[1])):
    names = random.sample(sorted(files), 6) if commit else sorted(files)
    message = 'Commit %d\n\nTouches %d files.\n' % (commit, len(names))
    print('commit refs/heads/main')
    print('committer A <a@example.org> %d +0000' % (1600000000 + commit * 60))
    print('data %d\n%s' % (len(message), message))
    for name in names:
        lines = files[name]
        for _ in range(10):
            at = random.randrange(len(lines))
            lines[at] = 'changed by %d: %d' % (commit, random.randrange(10 ** 9))
        lines.insert(random.randrange(len(lines)), 'new in %d' % commit)
        text = '\n'.join(lines) + '\n'
        print('M 100644 inline %s\ndata %d\n%s' % (name, len(text), text))
