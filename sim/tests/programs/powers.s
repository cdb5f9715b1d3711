; Powers of two in place of shared biases: of A, of both, of B beside a bias, of none; NaN; one that
; the program itself changes.
; design: fp8-16x16
; set: array.rows=3
; set: array.cols=2
.data 0x0 e4m3fn =1 =2 =3 =4
.data 0x10 e4m3fn =1 =0 =0 =1
.data 0x20 e8m0 =8 =0.25 ff
.expect 0x20 e8m0 =4096
.expect 0x40 fp32 =8 =16 =24 =32
.expect 0x50 fp32 =2 =4 =6 =8
.expect 0x60 fp32 =0.125 =0.25 =0.375 =0.5
.expect 0x70 fp32 =2 =4 =6 =8
.expect 0x80 fp32 7fc00000 7fc00000 7fc00000 7fc00000
.expect 0x90 fp32 =8 =16 =24 =32
.expect 0xa0 fp32 =64 =128 =192 =256
format f0, e4m3fn
format f1, fp32
format f2, e8m0
tensor t0, f1, dram, 0x40, 2, 2
tensor t1, f0, dram, 0, 2, 2
tensor t2, f0, dram, 0x10, 2, 2
tensor t3, f2, dram, 0x20, 1, 1
tensor t4, f2, dram, 0x21, 1, 1
tensor t5, f2, dram, 0x22, 1, 1
tensor t6, f2, spm, 0, 1, 1
powers t3, none
gemm t0, t1, t2
powers t3, t4
advance t0, 16
gemm t0, t1, t2
bias 1, -2
powers none, t4
advance t0, 16
gemm t0, t1, t2
powers none, none
advance t0, 16
gemm t0, t1, t2
powers t3, t5
advance t0, 16
gemm t0, t1, t2
bias 0, 0
powers t6, none
loop 2, 4
advance t0, 16
load t6, t3
gemm t0, t1, t2
vmul t3, t3, t6
