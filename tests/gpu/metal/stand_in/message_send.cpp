// objc_msgSend, for x86-64 and AArch64: every register that may hold an argument is kept while the method is
// looked up; the method then finds receiver, selector, arguments and return address as if it had been called
// itself.

#if defined(__x86_64__)

// rdi and rsi are receiver and selector. A method that returns a structure in memory comes through
// objc_msgSend_stret, with the structure's address before them.
asm(R"(
    .text
    .macro lattice_send receiver, selector
    pushq %rbp
    movq %rsp, %rbp
    subq $192, %rsp
    movq %rdi, -8(%rbp)
    movq %rsi, -16(%rbp)
    movq %rdx, -24(%rbp)
    movq %rcx, -32(%rbp)
    movq %r8, -40(%rbp)
    movq %r9, -48(%rbp)
    movq %rax, -56(%rbp)
    movups %xmm0, -80(%rbp)
    movups %xmm1, -96(%rbp)
    movups %xmm2, -112(%rbp)
    movups %xmm3, -128(%rbp)
    movups %xmm4, -144(%rbp)
    movups %xmm5, -160(%rbp)
    movups %xmm6, -176(%rbp)
    movups %xmm7, -192(%rbp)
    movq \receiver, %rdi
    movq \selector, %rsi
    call lattice_stand_in_lookup@PLT
    movq %rax, %r11
    movq -8(%rbp), %rdi
    movq -16(%rbp), %rsi
    movq -24(%rbp), %rdx
    movq -32(%rbp), %rcx
    movq -40(%rbp), %r8
    movq -48(%rbp), %r9
    movq -56(%rbp), %rax
    movups -80(%rbp), %xmm0
    movups -96(%rbp), %xmm1
    movups -112(%rbp), %xmm2
    movups -128(%rbp), %xmm3
    movups -144(%rbp), %xmm4
    movups -160(%rbp), %xmm5
    movups -176(%rbp), %xmm6
    movups -192(%rbp), %xmm7
    leave
    jmp *%r11
    .endm

    .globl objc_msgSend
    .type objc_msgSend, @function
objc_msgSend:
    lattice_send %rdi, %rsi
    .size objc_msgSend, .-objc_msgSend

    .globl objc_msgSend_fpret
    .type objc_msgSend_fpret, @function
objc_msgSend_fpret:
    lattice_send %rdi, %rsi
    .size objc_msgSend_fpret, .-objc_msgSend_fpret

    .globl objc_msgSend_stret
    .type objc_msgSend_stret, @function
objc_msgSend_stret:
    lattice_send %rsi, %rdx
    .size objc_msgSend_stret, .-objc_msgSend_stret
)");

#elif defined(__aarch64__)

asm(R"(
    .text
    .globl objc_msgSend
    .type objc_msgSend, %function
objc_msgSend:
    stp x29, x30, [sp, #-224]!
    mov x29, sp
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    str x8, [sp, #80]
    stp q0, q1, [sp, #96]
    stp q2, q3, [sp, #128]
    stp q4, q5, [sp, #160]
    stp q6, q7, [sp, #192]
    bl lattice_stand_in_lookup
    mov x16, x0
    ldp x0, x1, [sp, #16]
    ldp x2, x3, [sp, #32]
    ldp x4, x5, [sp, #48]
    ldp x6, x7, [sp, #64]
    ldr x8, [sp, #80]
    ldp q0, q1, [sp, #96]
    ldp q2, q3, [sp, #128]
    ldp q4, q5, [sp, #160]
    ldp q6, q7, [sp, #192]
    ldp x29, x30, [sp], #224
    br x16
    .size objc_msgSend, .-objc_msgSend
)");

#else
#error "messages are sent on x86-64 and AArch64 alone"
#endif
