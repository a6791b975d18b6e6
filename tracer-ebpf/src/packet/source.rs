//! How a program reaches the bytes of its frame.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext,
    helpers::generated,
    programs::{TcContext, XdpContext},
};

/// A frame whose bytes can be copied.
pub trait Source {
    /// Bytes of the frame, all fragments included.
    fn length(&self) -> u32;

    /// Copies `length` bytes from `offset`; false when the frame does not hold them.
    ///
    /// # Safety
    /// `into` is valid for writes of `length` bytes, and the verifier can see that.
    unsafe fn copy(&self, offset: u32, into: *mut u8, length: u32) -> bool;

    /// Copies a small plain value from `offset`.
    #[inline(always)]
    fn load<T: Copy>(&self, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the buffer is as long as the value, which is plain bytes.
        unsafe {
            self.copy(offset, value.as_mut_ptr().cast(), size_of::<T>() as u32)
                .then(|| value.assume_init())
        }
    }
}

/// A frame at an XDP hook. `bpf_xdp_load_bytes` needs Linux 5.18; older kernels are served
/// by TC ingress.
pub struct Xdp<'a>(pub &'a XdpContext);

impl Source for Xdp<'_> {
    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the helper takes this program's own context.
        unsafe { generated::bpf_xdp_get_buff_len(self.0.ctx) as u32 }
    }

    #[inline(always)]
    unsafe fn copy(&self, offset: u32, into: *mut u8, length: u32) -> bool {
        // SAFETY: as the caller promises.
        unsafe { generated::bpf_xdp_load_bytes(self.0.ctx, offset, into.cast(), length) == 0 }
    }
}

/// A frame at a TC hook.
pub struct Classifier<'a>(pub &'a TcContext);

impl Source for Classifier<'_> {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.0.len()
    }

    #[inline(always)]
    unsafe fn copy(&self, offset: u32, into: *mut u8, length: u32) -> bool {
        // SAFETY: as the caller promises.
        unsafe { generated::bpf_skb_load_bytes(self.0.as_ptr(), offset, into.cast(), length) == 0 }
    }
}
