/* Preloaded into keepalived: an IPVS that takes every order and carries out none, so that keepalived's checkers run, and
 * can be measured, on a kernel without it. Where the generic netlink family is missing, keepalived 2.2.7 speaks to IPVS by
 * socket options, for IPv4 alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/ip_vs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static int is_for_ipvs(int level, int option)
{
	return level == IPPROTO_IP && option >= IP_VS_BASE_CTL && option <= IP_VS_SO_SET_MAX;
}

int setsockopt(int socket, int level, int option, const void *value, socklen_t length)
{
	int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
	return is_for_ipvs(level, option) ? 0 : real(socket, level, option, value, length);
}

int getsockopt(int socket, int level, int option, void *value, socklen_t *length)
{
	int (*real)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");
	if (!is_for_ipvs(level, option))
		return real(socket, level, option, value, length);
	/* Nothing is in the table. */
	if (option == IP_VS_SO_GET_SERVICE || option == IP_VS_SO_GET_SERVICES || option == IP_VS_SO_GET_DESTS) {
		errno = ESRCH;
		return -1;
	}
	memset(value, 0, *length);
	if (option == IP_VS_SO_GET_INFO && *length >= sizeof(struct ip_vs_getinfo))
		((struct ip_vs_getinfo *)value)->version = 0x010201;
	return 0;
}
