#include "client/profctl/signals.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "profd/base.h"

int signals_open(const int *signals, size_t n_signals, sigset_t *ret_old)
{
	sigset_t set, old;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < n_signals; i++)
		sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, &old) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ret_old)
		*ret_old = old;
	return fd;
}

int signals_take(int signals_fd, struct signal_taken *ret_signal)
{
	struct signalfd_siginfo info;
	ssize_t n;

	n = read(signals_fd, &info, sizeof(info));
	if (n != sizeof(info))
		return -EAGAIN;
	*ret_signal = (struct signal_taken){
		.number = (int)info.ssi_signo,
		/* SI_USER, SI_QUEUE, SI_TKILL are 0 or below; the kernel's are above. */
		.from_process = info.ssi_code <= 0,
	};
	return 0;
}

int signals_wait(int signals_fd, int fd, int timeout_ms, int *ret_number)
{
	struct pollfd wait[] = {
		{.fd = signals_fd, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
	};
	struct signal_taken taken;
	int n;

	for (;;) {
		n = poll(wait, ARRAY_SIZE(wait), timeout_ms);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		while (signals_take(signals_fd, &taken) == 0) {
			if (taken.number == SIGCHLD)
				continue;
			*ret_number = taken.number;
			return -EINTR;
		}
		if (wait[1].revents != 0)
			return 0;
	}
}
