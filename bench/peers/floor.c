// The least that an answer can cost: one thread, epoll, one read and one write a request. It reads no head beyond its end
// and answers everything with the bytes of the file it was given, head included.
//
//   cc -O2 -o floor floor.c && ./floor PORT FILE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[1 << 20];

int main(int count, char **arguments) {
    if (count != 3) return 2;
    FILE *file = fopen(arguments[2], "r");
    if (!file) return 1;
    size_t length = fread(answer, 1, sizeof answer, file);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1, poll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, 512, -1);
        for (int n = 0; n < ready; n++) {
            int socket = events[n].data.fd;
            if (socket == listener) {
                socket = accept(listener, NULL, NULL);
                setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                event.data.fd = socket;
                epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event);
                continue;
            }
            char head[8192];
            ssize_t read_bytes = read(socket, head, sizeof head);
            int is_whole = read_bytes >= 4 && !memcmp(head + read_bytes - 4, "\r\n\r\n", 4);
            if (read_bytes <= 0 || (is_whole && write(socket, answer, length) < 0)) close(socket);
        }
    }
}
